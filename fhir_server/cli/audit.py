"""`fhir-server audit …`: whether the record of what was done is whole, what is being done, and all of it for others."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from fhir_server.cli import audit_asked
from fhir_server.cli.common import (
    DataDir,
    Json,
    MongoUrl,
    TenantName,
    console,
    errors,
    fail,
    in_store,
    settings,
    show,
    tenant_of,
)
from fhir_server.fhir import json
from fhir_server.settings import Settings
from fhir_server.store.anchor import anchored
from fhir_server.store.connection import Store
from fhir_server.store.layout import Document
from fhir_server.store.recorded import BATCH, Recorded
from fhir_server.store.tenants import Tenant
from fhir_server.store.verification import Fault, Verification

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Verify, follow and export the record of what was done."
)

LOOK = 1.0
"""Seconds between two looks for new events."""
LATE = 50
"""Events that may come to light after one that is younger, and are still shown."""

Anchor = Annotated[
    Path | None, typer.Option("--anchor", help="File of anchored checkpoints.", envvar="FHIR_AUDIT_ANCHOR")
]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; repeatable.")]


app.command("asked")(audit_asked.asked)


@app.callback()
def journal() -> None:
    """Verify, follow and export the record of what was done."""


@app.command()
def verify(
    tenant: Tenants = None,
    anchor: Anchor = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Prove that every recorded event is there and as it was; else name the first place where it is not.

    With the anchor it is also seen whether the newest checkpoints are gone, or the database is an older one. Ends with
    exit code 1 where anything is wrong.

    [bold]Examples[/]

      fhir-server audit verify
      fhir-server audit verify --tenant riverside --anchor /mnt/worm/audit-anchor.jsonl
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir, audit_anchor=anchor)
    results = in_store(chosen, lambda store: _verified(store, chosen, tenant or [], quiet=as_json))
    none = f"There are no tenants in the database '{chosen.database}', so nothing is recorded."
    show([each.as_json() for each in results], as_json, lambda: "\n".join(map(str, results)) or none)
    if any(each.fault for each in results):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Result:
    tenant: str
    counts: dict[str, int]
    fault: Fault | None

    def as_json(self) -> dict[str, Any]:
        fault = asdict(self.fault) if self.fault else None
        return {"tenant": self.tenant, "whole": fault is None, **self.counts, "fault": fault}

    def __str__(self) -> str:
        if self.fault:
            return f"[bold red]{self.tenant} is not whole[/]: {self.fault}"
        told = ", ".join(f"{number:,} {name}" for name, number in self.counts.items() if number or name == "anchored")
        return f"[bold]{self.tenant}[/] is whole: {told}."


async def _verified(store: Store, chosen: Settings, names: Sequence[str], *, quiet: bool) -> list[Result]:
    tenants = [await tenant_of(store, name) for name in names] or await store.tenants.list()
    if chosen.audit_anchor is not None and not chosen.audit_anchor.exists():
        fail(f"There is no anchor '{chosen.audit_anchor}'.", code=2)
    return [await _of_tenant(store, chosen, each, quiet=quiet) for each in tenants]


async def _of_tenant(store: Store, chosen: Settings, tenant: Tenant, *, quiet: bool) -> Result:
    recorded = Recorded(store.of(tenant), tenant.name)
    secret = await store.keys.witness(tenant.name)
    keys = {each.kid: each.public for each in await store.keys.attesting(tenant.name)}
    file = chosen.anchor
    lines = anchored(file, tenant.name) if file and file.exists() else iter(())
    with _progress(tenant.name, 2 * await recorded.count(), quiet=quiet) as step:
        verification = Verification(recorded, tenant.name, secret, keys, lines, step=step)
        fault = await anext(verification.faults(), None)
    return Result(tenant.name, asdict(verification.counts), fault)


@contextmanager
def _progress(name: str, total: int, *, quiet: bool) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, disable=quiet, transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda: progress.advance(task)


@app.command()
def tail(
    tenant: TenantName,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=BATCH, help="So many of the last ones first.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with those to come, until Ctrl-C.")] = True,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show events as they come, one in a line: what was done by what kind of actor to which types, and no patient.

    [bold]Example[/]

      fhir-server audit tail --tenant riverside
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    in_store(chosen, lambda store: _tailed(store, tenant, lines, follow=follow, as_json=as_json))


async def _tailed(store: Store, name: str, lines: int, *, follow: bool, as_json: bool) -> None:
    tenant = await tenant_of(store, name)
    seen = Seen(Recorded(store.of(tenant), name))
    last = await seen.new(BATCH)
    for document in last[max(0, len(last) - lines) :]:
        _print(document, as_json)
    while follow:
        await asyncio.sleep(LOOK)
        for document in await seen.new(BATCH):
            _print(document, as_json)


@dataclass(slots=True)
class Seen:
    """What was shown already; events do not become visible in the order of their times."""

    recorded: Recorded
    known: dict[str, Document] = field(default_factory=dict)

    async def new(self, most: int) -> list[Document]:
        after = next(iter(self.known.values()))["lu"] if self.known else None
        found = [each for each in await self.recorded.newest(after, most + LATE) if each["id"] not in self.known]
        kept = list((self.known | {each["id"]: each for each in found}).items())[-LATE:]
        self.known = dict(sorted(kept, key=lambda item: item[1]["lu"]))
        return found


def _print(document: Document, as_json: bool) -> None:
    told = told_of(json.trusted(bytes(document["body"]))) if document["body"] else {"recorded": "deleted"}
    if as_json:
        sys.stdout.write(msgspec.json.encode({**told, "id": document["id"]}).decode() + "\n")
    else:
        console.print("  ".join([*told.values(), document["id"]]), soft_wrap=True, highlight=False, markup=False)


OUTCOMES = {"0": "done", "4": "refused", "8": "failed", "12": "broken"}


def told_of(event: dict[str, Any]) -> dict[str, str]:
    """Codes and types of resources: nothing that says who it was or whom it was about."""
    kinds = [each["code"] for each in event.get("subtype", ()) if "code" in each] or [event["type"].get("code", "?")]
    actors = [_type(each.get("who", {})) for each in event["agent"] if each.get("requestor")]
    about = dict.fromkeys(_type(each.get("what", {})) for each in event.get("entity", ()))
    return {
        "recorded": event["recorded"],
        "action": event.get("action", "-"),
        "kind": ",".join(kinds),
        "outcome": OUTCOMES.get(event.get("outcome", "0"), "?"),
        "by": ",".join(each for each in actors if each) or "-",
        "about": ",".join(each for each in about if each) or "-",
    }


def _type(reference: dict[str, Any]) -> str:
    parts = str(reference.get("reference", "")).partition("/_history/")[0].split("/")
    return parts[-2] if len(parts) > 1 else ""


@app.command()
def export(
    tenant: TenantName,
    to: Annotated[Path | None, typer.Option("--to", help="File to write. [default: standard output]")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Write every event with its entry, chain after chain, then the checkpoints: NDJSON that proves itself.

    [bold]Example[/]

      fhir-server audit export --tenant riverside --to audit.ndjson
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    in_store(chosen, lambda store: _exported(store, tenant, to))


async def _exported(store: Store, name: str, to: Path | None) -> None:
    tenant = await tenant_of(store, name)
    recorded = Recorded(store.of(tenant), name)
    with _progress(name, await recorded.count() // 2, quiet=to is None) as step, _written(to) as out:
        async for batch in _batches(recorded.entries()):
            events = await recorded.several(batch)
            for entry in batch:
                event = events.get((entry["e"], entry["v"])) or await recorded.version(entry["e"], entry["v"])
                body = await recorded.body(event) if event else b""
                out.write(b'{"entry":%b%b}\n' % (_encoded(entry), b',"resource":' + body if body else b""))
                step()
        keys = {each.kid: each.public for each in await store.keys.attesting(name)}
        async for document in recorded.checkpoints():
            signed = {**_plain(document), "key": keys.get(document["kid"])}
            out.write(b'{"checkpoint":%b}\n' % msgspec.json.encode(signed))


async def _batches(entries: AsyncIterator[Document]) -> AsyncIterator[list[Document]]:
    batch: list[Document] = []
    async for each in entries:
        batch.append(each)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


@contextmanager
def _written(to: Path | None) -> Iterator[BinaryIO]:
    if to is None:
        yield sys.stdout.buffer
    else:
        with to.open("wb") as file:
            yield file


NAMES = {
    "t": "tenant",
    "w": "writer",
    "s": "seq",
    "k": "kind",
    "e": "event",
    "v": "version",
    "g": "digest",
    "p": "previous",
    "h": "hash",
    "n": "number",
    "sig": "signature",
}


def _encoded(document: Document) -> bytes:
    return msgspec.json.encode(_plain(document))


def _plain(document: Document) -> dict[str, Any]:
    """Under names that say what they are; the key is made of others."""
    return {NAMES.get(name, name): _hexed(value) for name, value in document.items() if name != "_id"}


def _hexed(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return [_hexed(each) for each in value] if isinstance(value, list) else value
