"""Whether a migration adds up: what was read and what became of it, of the last run and as it stands now.

Every sum is a check with two sides. With the source at hand, its rows and its amounts are compared as well.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_server.mapping import walk
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.identity import key_text
from fhir_server.mapping.inspection import frequencies
from fhir_server.mapping.model import TableMapping, table_leaves
from fhir_server.mapping.outcome import DELETED, STATUSES
from fhir_server.mapping.reckoning import Account, Reckoning
from fhir_server.mapping.source import Row, Source, Span
from fhir_server.mapping.sums import Sum
from fhir_server.store.mapping_runs import MappingRuns
from fhir_server.store.mappings import MappingStates
from fhir_server.store.repository import Repository

PAGE = 500
UNMAPPED = "UNMAPPED_CODE"
MOST_VALUES = 20
AMOUNTS = ("source", "fhir", "rounding", "unexplained")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """Two numbers that must be the same."""

    what: str
    left: str
    right: str
    holds: bool


@dataclass(slots=True)
class Reconciled:
    """A report, as it is printed, written as a page, or given out as JSON."""

    source: str
    title: str
    tenant: str
    run: str | None = None
    at: str | None = None
    tables: list[Json] = field(default_factory=list)
    quarantine: list[Json] = field(default_factory=list)
    dangling: list[Json] = field(default_factory=list)
    unmapped: list[Json] = field(default_factory=list)
    money: list[Json] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return all(each.holds for each in self.checks)

    def check(self, what: str, left: Any, right: Any) -> None:
        self.checks.append(Check(what, _written(left), _written(right), left == right))


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is looked: what a tenant has of a source, and the source itself where it is named."""

    catalogue: Catalogue
    states: MappingStates
    runs: MappingRuns
    repository: Repository
    database: Source | None
    whose: str | None
    show_values: bool


async def reconciled(place: Place) -> Reconciled:
    """All of it; read once, a page at a time."""
    catalogue = place.catalogue
    report = Reconciled(catalogue.source, catalogue.title, place.repository.tenant.name)
    kept = await place.runs.last(catalogue.source) or {}
    report.run, report.at = kept.get("run"), kept.get("at")
    await _tables(place, report, kept.get("tables", {}))
    await _findings(place, report)
    report.dangling += _dangling(catalogue, kept.get("tables", {}))
    if place.database:
        for each in catalogue.sums:
            await _money(place, place.database, each, report)
    return report


async def _tables(place: Place, report: Reconciled, runs: Mapping[str, Json]) -> None:
    """Counts by table, of the last run and as it stands; each table once, in load order."""
    rows = await place.states.row_counts(place.catalogue.source)
    claimed, there = await _resources(place, report)
    for table in place.catalogue.in_order():
        name, run = table.table, runs.get(table.table)
        now = {status: rows.get(name, {}).get(status, 0) for status in STATUSES if rows.get(name, {}).get(status)}
        found: Json = {"table": name, "run": run, "rows": now, "resources": dict(sorted(there[name].items()))}
        if run:
            report.check(f"{name}: rows read, and the sum of what became of them", run["rows"], _total(run["counts"]))
        report.check(f"{name}: resources that rows became, and those stored", claimed[name], _total(there[name]))
        if place.database and table.table in place.database.tables:
            found["in_source"] = await asyncio.to_thread(_present, place.database, table, place.whose)
            _compare_rows(report, name, found["in_source"], now)
        report.tables.append(found)


def _compare_rows(report: Reconciled, name: str, in_source: int, now: Mapping[str, int]) -> None:
    """Rows that are known and gone stay known as deleted, so those may be more than the source has."""
    known, deleted = _total(now), now.get(DELETED, 0)
    holds = known - deleted <= in_source <= known
    sides = (str(in_source), str(known) if not deleted else f"{known - deleted} to {known}")
    report.checks.append(Check(f"{name}: rows in the source, and rows that are known", *sides, holds))


def _present(database: Source, table: TableMapping, whose: str | None) -> int:
    return database.count(table, whose)


async def _resources(place: Place, report: Reconciled) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """By table: how many resources its rows are said to have become, and those that are there, by type.

    Records of features are taken as told. What the resources refer to is looked for as well.
    """
    claimed: Counter[str] = Counter()
    lost: Counter[tuple[str, str]] = Counter()
    there: dict[str, Counter[str]] = {table.table: Counter() for table in place.catalogue.in_order()}
    async for page in walk.living(place.states, place.repository, place.catalogue.source):
        for state, resource in page:
            claimed[state["source_table"]] += 1
            if resource or is_feature(state["resource_type"]):
                there.setdefault(state["source_table"], Counter())[state["resource_type"]] += 1
        lost.update(await _lost(place, page))
    report.dangling = [
        {"table": table, "reference": reference, "rows": count} for (table, reference), count in sorted(lost.items())
    ]
    return claimed, there


async def _lost(place: Place, page: walk.Found) -> list[tuple[str, str]]:
    """References of stored resources to what is not stored, each with the table of its resource."""
    found = [
        (state["source_table"], *each)
        for state, resource in page
        if resource
        for each in walk.references(resource, resource["resourceType"])
    ]
    there = await place.repository.existing((resource_type, resource_id) for *_, resource_type, resource_id in found)
    return [
        (table, f"{path} -> {resource_type}, which is not stored")
        for table, path, resource_type, resource_id in found
        if (resource_type, resource_id) not in there
    ]


async def _findings(place: Place, report: Reconciled) -> None:
    """What rows are in quarantine for, and the codes that no map knows, most frequent first."""
    for each in await place.states.findings(place.catalogue.source):
        if each["severity"] == "error":
            report.quarantine.append({name: each[name] for name in ("table", "code", "where", "rows")})
        if each["code"] == UNMAPPED:
            found = {name: each[name] for name in ("table", "where", "rows")}
            table = place.catalogue.tables.get(each["table"])
            if place.database and place.show_values and table and each["where"] in table.columns:
                found["values"] = await asyncio.to_thread(_values, place, place.database, table, each["where"])
            report.unmapped.append(found)


def _values(place: Place, database: Source, table: TableMapping, column: str) -> dict[str, int]:
    """The values of a column that one of its maps does not know, with how many rows have them."""
    steps = [step for leaf in table_leaves(table) if leaf.pipe.column.name == column for step in leaf.pipe.steps]
    maps = [place.catalogue.maps[str(step.args[0])] for step in steps if step.name == "map"]
    counted = frequencies(database, table, column, place.whose)
    unknown = {value: count for value, count in counted if any(each.target(value) is None for each in maps)}
    return {str(value): count for value, count in list(unknown.items())[:MOST_VALUES]}


def _dangling(catalogue: Catalogue, runs: Mapping[str, Json]) -> Iterator[Json]:
    for table in catalogue.in_order():
        for reference, count in runs.get(table.table, {}).get("dangling", {}).items():
            yield {"table": table.table, "reference": reference, "rows": count}


async def _money(place: Place, database: Source, of: Sum, report: Reconciled) -> None:
    """The amounts of a table, page by page: the rows, their states, and what they became."""
    mapping = place.catalogue.tables[of.table]
    found, span = Reckoning(of, mapping), Span()
    while page := await asyncio.to_thread(database.page, mapping, place.whose, span, PAGE):
        related = await asyncio.to_thread(database.related, mapping, page)
        await _add(place, found, page, related)
        span = Span(after=_key(mapping, page[-1]))
    _tell(found, report)


async def _add(place: Place, found: Reckoning, page: Sequence[Row], related: Sequence[Json]) -> None:
    mapping = found.mapping
    keys = [":".join(map(key_text, _key(mapping, row))) for row in page]
    known = await place.states.states(mapping.source, mapping.table, keys)
    by_row: dict[str, dict[str, Json]] = {}
    for (pk, output), state in known.items():
        by_row.setdefault(pk, {})[output] = state
    wanted = {(s["resource_type"], s["resource_id"]) for (_, name), s in known.items() if name in found.of.of}
    versions = await place.repository.several(wanted) if wanted else {}
    stored = {resource_id: version.resource() for (_, resource_id), version in versions.items()}
    for key, row, beside in zip(keys, page, related, strict=True):
        found.add(row, beside, by_row.get(key, {}), stored)


def _key(mapping: TableMapping, row: Row) -> Row:
    names = list(mapping.columns)
    return tuple(row[names.index(name)] for name in mapping.key)


def _tell(found: Reckoning, report: Reconciled) -> None:
    """A line for each output, one for what is not stored, and the checks that they add up."""
    table, whole = found.of.table, Decimal(0)
    for name, compared in sorted(found.outputs.items()):
        total = compared.total()
        whole += total.source
        line = {"table": table, "output": name, "accounts": len(compared.accounts), **_account(total)}
        report.money.append({**line, "differing": _by(compared.differing()), "by_account": _by(compared.accounts)})
        report.check(
            f"{table}: amounts of {name} with rounding, and those of the source",
            total.fhir + total.rounding,
            total.source,
        )
    for reason, amount in sorted(found.left_out.items()):
        whole += amount
        rows = found.left_out_rows[reason]
        report.money.append({"table": table, "output": f"not stored: {reason}", "rows": rows, "source": money(amount)})
    report.check(f"{table}: all amounts of the source, and the sum of these lines", found.all, whole)


def _by(accounts: Mapping[str, Account]) -> Json:
    return {name: _account(each) for name, each in accounts.items()}


def _account(each: Account) -> Json:
    return {"rows": each.rows, **{name: money(getattr(each, name)) for name in AMOUNTS}}


def money(amount: Decimal) -> str:
    """With two decimals, or with as many as it has: never rounded."""
    exponent = amount.as_tuple().exponent
    return f"{amount:.2f}" if isinstance(exponent, int) and exponent > -2 else f"{amount:f}"


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


def _written(value: Any) -> str:
    return money(value) if isinstance(value, Decimal) else str(value)
