"""What became of rows: one outcome a row, counted by table; every row counts exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fhir_server.mapping.compile import Draft
from fhir_server.mapping.fault import Findings, is_error

MAPPED = "mapped"
WITH_WARNINGS = "mapped_with_warnings"
UNCHANGED = "unchanged"
SKIPPED = "skipped"
QUARANTINED = "quarantined"
DELETED = "deleted"
COUNTED = ("counts", "groups", "resources", "findings", "concepts")
PLAIN = ("still_quarantined", "removed", "dangling", "changed_at", "seconds", "stopped")
STATUSES = (MAPPED, WITH_WARNINGS, UNCHANGED, SKIPPED, QUARANTINED, DELETED)


@dataclass(slots=True)
class Outcome:
    """One row, or one group of rows that become a resource together, on its way to the store."""

    key: str
    hash: str
    row: Sequence[Any]
    known: dict[str, dict[str, Any]]
    """States of an earlier run by output."""
    drafts: list[Draft] = field(default_factory=list)
    findings: Findings = field(default_factory=list)
    status: str = MAPPED
    retired: list[dict[str, Any]] = field(default_factory=list)
    """States whose resource is no longer given by the row and is deleted."""
    merges: dict[str, str] = field(default_factory=dict)
    """The value by which the row belongs to each merge."""
    changed_at: str | None = None
    locked: str | None = None
    """The hash of a row that may not change from now on."""
    amendment: str | None = None
    """Why a locked row was changed on purpose."""
    change: Mapping[str, Any] = field(default_factory=dict)
    """What the row says of its change: `author`, `occurred`, `reason`."""
    is_group: bool = False
    is_ahead: bool = False
    """Only what belongs to values is written now; the row itself comes later."""
    is_removed: bool = False
    """The row is no longer in the source."""

    @property
    def failed(self) -> bool:
        return any(map(is_error, self.findings))


@dataclass(slots=True)
class TableReport:
    """Counts of one table and run; `rows` is the sum of `counts`."""

    table: str
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    """The same for resources that several rows make together."""
    resources: Counter[str] = field(default_factory=Counter)
    """Resources written, by type."""
    findings: Counter[str] = field(default_factory=Counter)
    """Findings by code, column and severity."""
    still_quarantined: int = 0
    """Unchanged rows that are in quarantine since an earlier run."""
    removed: int = 0
    """Rows that an earlier run has mapped and the source no longer has."""
    dangling: dict[str, int] = field(default_factory=dict)
    concepts: Counter[str] = field(default_factory=Counter)
    """Concepts written, by path: `Condition.code coded`, `Condition.code text`."""
    changed_at: str | None = None
    """The latest time of change among its rows."""
    seconds: float = 0.0
    stopped: str | None = None

    def add(self, outcome: Outcome) -> None:
        if outcome.is_group:
            self.groups[outcome.status] += 1
        else:
            self.rows += 1
            self.counts[outcome.status] += 1
            self.changed_at = max(filter(None, (self.changed_at, outcome.changed_at)), default=None)
        self.findings.update(f"{each.code} {each.column or each.path} {each.severity}" for each in outcome.findings)

    def join(self, other: TableReport) -> None:
        """Adds what another process has done of the table."""
        self.rows += other.rows
        for name in COUNTED:
            getattr(self, name).update(getattr(other, name))
        self.still_quarantined += other.still_quarantined
        self.removed += other.removed
        self.changed_at = max(filter(None, (self.changed_at, other.changed_at)), default=None)
        self.stopped = self.stopped or other.stopped

    @property
    def rate(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "rows": self.rows,
            "counts": {status: self.counts[status] for status in STATUSES},
            "groups": dict(self.groups),
            "resources": dict(self.resources),
            "findings": dict(self.findings.most_common()),
            "concepts": dict(self.concepts),
            "changed_at": self.changed_at,
            "still_quarantined": self.still_quarantined,
            "removed": self.removed,
            "dangling": self.dangling,
            "seconds": round(self.seconds, 2),
            "rows_per_second": round(self.rate),
            "stopped": self.stopped,
        }


def table_report(found: Mapping[str, Any]) -> TableReport:
    """A report again, from its JSON."""
    report = TableReport(found["table"], found["rows"])
    for name in COUNTED:
        setattr(report, name, Counter(found[name]))
    for name in PLAIN:
        setattr(report, name, found[name])
    return report


@dataclass(slots=True)
class Report:
    """One run."""

    run_id: str
    source: str
    tenant: str
    started: datetime
    tables: list[TableReport] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(each.stopped for each in self.tables)

    def as_json(self) -> dict[str, Any]:
        return {
            "run": self.run_id,
            "source": self.source,
            "tenant": self.tenant,
            "started": self.started.isoformat(),
            "tables": [each.as_json() for each in self.tables],
        }
