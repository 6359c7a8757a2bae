"""`fhir-server retention …`: which records may go when, and destroying those whose time is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from fhir_server.cli import retention_rules
from fhir_server.cli.common import (
    DataDir,
    Json,
    MongoUrl,
    TenantName,
    errors,
    in_store,
    settings,
    show,
    tenant_of,
)
from fhir_server.cli.recording import operator
from fhir_server.jobs import retention as work
from fhir_server.jobs.retention import Line
from fhir_server.store.certificates import Certificate
from fhir_server.store.connection import Store
from fhir_server.store.purge import Purge
from fhir_server.store.records import Heard, Records
from fhir_server.store.tenants import Tenant

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show which records may go when, and destroy those whose time is over.",
)

SHOWN = 20
"""Persons that are listed for a person; a program gets all of them."""

Approved = Annotated[
    list[str] | None, typer.Option("--approved-by", help="User who approves it; two different ones, so give it twice.")
]


@app.command()
def report(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show until when records are kept, by which class and rule, and why.

    Nobody's record is due whose date of birth is not known, who is still treated, or who is under a legal hold.
    """

    async def told(found: Store) -> list[Line]:
        return await _lines(found, await tenant_of(found, tenant), quiet=as_json)

    lines = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), told)
    today = _now().date()
    show([work.described(each, today) for each in lines], as_json, lambda: _table(lines, today))


@app.command()
def run(
    tenant: TenantName,
    apply: Annotated[bool, typer.Option("--apply", help="Destroy; without it nothing is changed.")] = False,
    approved_by: Approved = None,
    limit: Annotated[int | None, typer.Option(help="At most so many persons.", min=1)] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what would be destroyed, or with --apply destroy it and issue a certificate. There is no way back.

    What goes: all that is in the compartment of the patient and of nobody else, with its history, large contents and
    index entries, and the legacy rows as they were read. Audit events stay. One that was interrupted is brought to its
    end by the next.

    [bold]Examples[/]

      fhir-server retention run --tenant riverside
      fhir-server retention run --tenant riverside --apply --approved-by ann --approved-by bo
    """

    async def done(found: Store) -> tuple[list[Any], list[Certificate]]:
        place = await tenant_of(found, tenant)
        approval = await work.approval(found, place, approved_by or (), operator()) if apply else None
        lines = await _lines(found, place, quiet=as_json)
        due = [each for each in lines if each.is_due(_now().date())][:limit]
        with _bar("Records", len(due), quiet=as_json) as heard:
            if approval is None:
                return await _counted(found, place, due, heard), []
            return [], await work.run(found, place, due, approval, _now(), heard)

    due, certificates = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    if not apply:
        show({"due": due}, as_json, lambda: _due(due))
    else:
        said = [{"certificate": each.name, **_totals(each)} for each in certificates]
        show({"certificates": said}, as_json, lambda: _issued(certificates))


async def _lines(found: Store, tenant: Tenant, *, quiet: bool) -> list[Line]:
    total = await Records(found.of(tenant), tenant).count()
    with _bar("Reading", total, quiet=quiet) as heard:
        return await work.report(found, tenant, heard)


async def _counted(found: Store, tenant: Tenant, due: list[Line], heard: Heard) -> list[Any]:
    purge, counted = Purge(found.of(tenant), tenant), []
    for each in due:
        counted.append({**work.described(each, _now().date()), "resources": await purge.count(each.person)})
        heard(1)
    return counted


@contextmanager
def _bar(title: str, total: int, *, quiet: bool) -> Iterator[Heard]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=errors, disable=quiet) as progress:
        bar = progress.add_task(title, total=total)
        yield lambda count: progress.advance(bar, count)


def _now() -> datetime:
    return datetime.now(UTC)


def _table(lines: list[Line], today: date) -> Table:
    counts = Counter(each.state(today) for each in lines)
    said = ", ".join(f"{counts[name]:,} {name}" for name in ("due", "kept", "held", "unknown"))
    table = Table(
        "patients", "state", "until", "class", "rule", "why", box=None, title=f"{len(lines):,} persons: {said}"
    )
    for each in lines[:SHOWN]:
        kept = each.kept
        why = f"legal hold {each.hold.name}" if each.hold else kept.reason
        table.add_row(", ".join(each.person), each.state(today), str(kept.until or ""), kept.of_class, kept.rule, why)
    return table


def _due(due: list[Any]) -> Table | str:
    if not due:
        return "Nothing is due."
    total = sum(each["resources"] for each in due)
    table = Table("patients", "until", "rule", "resources", box=None, title=f"{len(due):,} due, {total:,} resources")
    for each in due[:SHOWN]:
        table.add_row(", ".join(each["patients"]), str(each["until"]), each["rule"], f"{each['resources']:,}")
    return table


def _totals(certificate: Certificate) -> dict[str, Any]:
    said = certificate.content
    return {"persons": said["persons"], "resources": sum(said["resources"].values()), "versions": said["versions"]}


def _issued(certificates: list[Certificate]) -> Table | str:
    if not certificates:
        return "Nothing is due; nothing was destroyed."
    table = Table("certificate", "persons", "resources", "versions", box=None)
    for each in certificates:
        table.add_row(each.name, *(f"{number:,}" for number in _totals(each).values()))
    return table


app.command("rules")(retention_rules.rules)
app.command("add-rule")(retention_rules.add)
app.command("remove-rule")(retention_rules.remove)
