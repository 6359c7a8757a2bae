"""The tables of a reconciliation, for the terminal and for the page alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.outcome import DELETED, MAPPED, QUARANTINED, SKIPPED, UNCHANGED, WITH_WARNINGS
from fhir_server.mapping.reconciliation import Reconciled

STATUSES = (MAPPED, WITH_WARNINGS, UNCHANGED, SKIPPED, QUARANTINED, DELETED)
NAMES = {WITH_WARNINGS: "with warnings"}
MOST_ACCOUNTS = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """One table; `nothing` is said in place of it where it has no rows."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    nothing: str


def sections(report: Reconciled) -> Iterator[Shown]:
    """In the order in which they are read: first what is wrong."""
    if not report.holds:
        yield checks(report)
    yield last_run(report)
    yield as_it_stands(report)
    yield quarantine(report)
    yield unmapped(report)
    yield dangling(report)
    yield from money(report)


def checks(report: Reconciled) -> Shown:
    rows = [(each.what, each.left, each.right) for each in report.checks if not each.holds]
    return Shown("Sums that do not add up", "Two numbers that are not the same", ("sum", "one", "other"), rows, "")


def last_run(report: Reconciled) -> Shown:
    """Only the statuses that there are get a column."""
    runs = [each["run"] for each in report.tables if each["run"]]
    met = [status for status in STATUSES if any(each["counts"].get(status) for each in runs)]
    rows = [
        (each["table"], each["rows"], *(each["counts"].get(name, 0) for name in met), sum(each["resources"].values()))
        for each in runs
    ]
    columns = ("table", "rows read", *(NAMES.get(each, each) for each in met), "resources written")
    return Shown("The last run", "Rows read, and what became of them", columns, _with_sum(rows), "There was no run.")


def as_it_stands(report: Reconciled) -> Shown:
    met = [status for status in STATUSES if any(each["rows"].get(status) for each in report.tables)]
    seen = any("in_source" in each for each in report.tables)
    rows = [
        (
            each["table"],
            *((each.get("in_source", ""),) if seen else ()),
            *(each["rows"].get(name, 0) for name in met),
            _types(each["resources"]),
        )
        for each in report.tables
    ]
    columns = ("table", *(("in the source",) if seen else ()), *(NAMES.get(each, each) for each in met), "stored")
    return Shown("As it stands", "Rows by what became of them, and what is stored of them", columns, rows, "")


def _types(resources: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in resources.items())


def _with_sum(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    if len(rows) < 2:
        return rows
    return [*rows, ("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:]))]


def quarantine(report: Reconciled) -> Shown:
    rows = [(each["table"], each["code"], each["where"], each["rows"]) for each in report.quarantine]
    columns = ("table", "code", "where", "rows")
    return Shown("In quarantine", "Rows that are not stored, by the reason", columns, rows, "No row is in quarantine.")


def unmapped(report: Reconciled) -> Shown:
    rows = [(each["table"], each["where"], each["rows"], _values(each.get("values", {}))) for each in report.unmapped]
    shown = any("values" in each for each in report.unmapped)
    columns = ("table", "where", "rows", *(("values",) if shown else ()))
    kept = rows if shown else [row[:-1] for row in rows]
    nothing = "Every code is known to its map."
    return Shown("Codes that no map knows", "Places by the number of rows, most first", columns, kept, nothing)


def _values(found: Mapping[str, int]) -> str:
    return ", ".join(f"{value} ({count:,})" for value, count in found.items())


def dangling(report: Reconciled) -> Shown:
    rows = [(each["table"], each["reference"], each["rows"]) for each in report.dangling]
    nothing = "Everything that is referred to is there."
    columns = ("table", "reference", "how many")
    caption = "To rows that the source does not have, and to resources that are not stored"
    return Shown("References that lead nowhere", caption, columns, rows, nothing)


def money(report: Reconciled) -> Iterator[Shown]:
    """Sums first, then the accounts that differ."""
    if not report.money:
        return
    names = ("accounts", "rows", "source", "fhir", "rounding", "unexplained")
    rows = [(each["table"], each["output"], *(each.get(name, "") for name in names)) for each in report.money]
    caption = "Amounts by what they became; decimals are exact"
    yield Shown("Sums of money", caption, ("table", "output", *names), rows, "")
    differing = [
        (each["table"], each["output"], account, of["source"], of["fhir"], of["unexplained"])
        for each in report.money
        for account, of in list(each.get("differing", {}).items())[:MOST_ACCOUNTS]
    ]
    if differing:
        columns = ("table", "output", "account", "source", "fhir", "unexplained")
        yield Shown("Accounts that differ", "The first of each output", columns, differing, "")
