"""Results of `fhir-server migrate` for people: tables of counts, and notes on what was found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.table import Table

from fhir_server.mapping.outcome import STATUSES, WITH_WARNINGS, Report, TableReport

SHOWN = 10
SHORT = {WITH_WARNINGS: "with warnings"}


def row(state: Any) -> dict[str, Any]:
    return {"table": state["source_table"], "key": state["source_pk"], "errors": state["errors"]}


def status(result: dict[str, Any]) -> Group:
    names = (SHORT.get(each, each) for each in STATUSES)
    counts = Table("table", *names, box=None, title="Resources by the state of their row", title_justify="left")
    for table, found in sorted(result["outputs"].items()):
        counts.add_row(table, *(str(found.get(each, 0)) for each in STATUSES))
    rows = Table("table", "key", "code", "where", box=None, title="In quarantine", title_justify="left")
    for each in result["quarantined"]:
        for finding in each["errors"]:
            rows.add_row(each["table"], each["key"], finding["code"], finding["column"] or finding["path"])
    return Group(counts, *([rows] if result["quarantined"] else []))


def described(report: Report) -> Group:
    """The counts of a run, what was found in the data, and what is not there to refer to."""
    met = [status for status in STATUSES if any(each.counts[status] for each in report.tables)]
    counts = Table("table", "rows", *(SHORT.get(status, status) for status in met), "resources", "rows/s", box=None)
    for each in report.tables:
        written = sum(each.resources.values())
        numbers = (each.rows, *(each.counts[status] for status in met), written)
        counts.add_row(each.table, *map(str, numbers), f"{each.rate:,.0f}")
    notes = [line for each in report.tables for line in _notes(each)]
    return Group(counts, *notes)


def _notes(report: TableReport) -> Iterator[str]:
    if report.stopped:
        yield f"[bold red]{report.table} was stopped:[/] {report.stopped} See fhir-server migrate status."
    if report.still_quarantined:
        yield f"{report.table}: {report.still_quarantined} unchanged rows are still in quarantine."
    if report.removed:
        yield f"{report.table}: {report.removed} rows are gone from the source; what they became is retired."
    for finding, count in report.findings.most_common(SHOWN):
        yield f"{report.table}: {count} × {finding}"
    for reference, count in report.dangling.items():
        yield f"{report.table}: {count} × DANGLING_REF {reference}"
