"""`fhir-server backup`: everything of a store or of a tenant in files that only the key opens, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fhir_server.cli.common import (
    DataDir,
    Json,
    MongoUrl,
    errors,
    explained,
    fail,
    in_store,
    run,
    settings,
    show,
    tenant_of,
)
from fhir_server.cli.recording import recorded
from fhir_server.settings import Settings
from fhir_server.store.backup import changing, creating, restoring, verifying
from fhir_server.store.backup.archive import Header
from fhir_server.store.backup.creating import Made, Told
from fhir_server.store.backup.restoring import Restored
from fhir_server.store.connection import Store
from fhir_server.store.kek.adapters import kek_of
from fhir_server.store.kek.port import Kek

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Make, check, list and restore backups.")

KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", help="A file of 32 random bytes that only you can read. [default: the key of FHIR_KEK]"),
]
Folder = Annotated[Path, typer.Option("--to", help="Folder for the files.", file_okay=False)]
OneTenant = Annotated[str, typer.Option("--tenant", "-t", help="Only this tenant. [default: the whole store]")]
Files = Annotated[list[Path], typer.Argument(help="A full backup, then increments in their order.")]


@app.command()
def create(
    to: Folder,
    tenant: OneTenant = "",
    since: Annotated[
        Path | None,
        typer.Option("--since", help="Only what has changed since this backup, or the newest of a folder."),
    ] = None,
    key_file: KeyFile = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Write everything as it is at one moment, while the server goes on.

    The keys of what is encrypted go into a file of their own, which the next backup replaces: a key that is destroyed
    is then in no backup any more.

    [bold]Examples[/]

      head -c 32 /dev/urandom > backup.key && chmod 600 backup.key
      fhir-server backup create --to /backups --key-file backup.key
      fhir-server backup create --to /backups --tenant riverside --key-file backup.key
      fhir-server backup create --to /backups --since /backups/_all-….full.fhirbackup --key-file backup.key
    """
    if since and tenant:
        fail("An increment is of the tenants of the backup that it goes on from: leave out --tenant.", code=2)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    kek = _kek(chosen, key_file)

    async def made(store: Store) -> Made:
        if tenant:
            await tenant_of(store, tenant)
        with _progress("written", quiet=as_json) as told:
            done = await _made(store, kek, to, tenant, since, told)
        await _record(store, "backup", {each.tenant for each in done.manifest.rows}, done.header)
        return done

    found = in_store(chosen, made)
    show(_described(found), as_json, lambda: _sentence("Written", found))


@app.command()
def verify(files: Files, key_file: KeyFile = None, as_json: Json = False) -> None:
    """Read backups to their end, without any store: exit code 0 if each is whole, else 1, and what is wrong.

    [bold]Examples[/]

      fhir-server backup verify /backups/*.fhirbackup --key-file backup.key
    """
    kek = _kek(settings(), key_file)
    found: list[Made] = []
    wrong: list[str] = []
    for path in files:
        with _progress(path.name, quiet=as_json) as told:
            try:
                found.append(run(verifying.verify(path, kek, told)))
            except typer.Exit:
                wrong.append(path.name)
    show([_described(each) for each in found], as_json, lambda: _table_of_contents(found))
    if wrong:
        fail(f"{len(wrong)} of {len(files)} are not whole: {', '.join(wrong)}.")


@app.command()
def restore(
    files: Files,
    until: Annotated[
        datetime | None, typer.Option("--until", help="Leave out increments that were made after this time (UTC).")
    ] = None,
    key_file: KeyFile = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Bring a backup back where nothing is: a whole one into an empty store, one of a tenant where no such tenant is.

    Nothing is written before every file was read to its end. Afterwards all hashes are compared; what is not the same
    is removed again.

    [bold]Examples[/]

      fhir-server backup restore /backups/_all-….full.fhirbackup --key-file backup.key
      fhir-server backup restore FULL INCREMENT INCREMENT --until 2026-01-31T12:00:00 --key-file backup.key
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    kek = _kek(chosen, key_file)
    moment = until.replace(tzinfo=UTC) if until else None

    async def restored(store: Store) -> Restored:
        with _progress("restored", quiet=as_json) as told:
            done = await restoring.restore(store, kek, files, until=moment, told=told)
        await _record(store, "restore", done.tenants, done.header)
        return done

    found = in_store(chosen, restored)
    shown = {**found._asdict(), "header": _header(found.header)}
    show(shown, as_json, lambda: _restored_sentence(found))


@app.command("list")
def list_(
    folder: Annotated[Path, typer.Argument(help="Folder of backups.", exists=True, file_okay=False)],
    as_json: Json = False,
) -> None:
    """Show the backups of a folder, without a key: what their headers say, which only `verify` can confirm."""
    with explained():
        found = verifying.listed(folder)
    rows = [{"file": path.name, "bytes": path.stat().st_size, **_header(header)} for path, header in found]
    show(rows, as_json, lambda: _table(rows))


async def _made(store: Store, kek: Kek, to: Path, tenant: str, since: Path | None, told: Told) -> Made:
    if since:
        return await changing.increment(store, kek, to, since, told=told)
    return await creating.create(store, kek, to, tenant=tenant, told=told)


async def _record(store: Store, kind: str, tenants: Iterable[str], header: Header) -> None:
    """In the journal of each tenant whose data left the store, or came into it."""
    moment = f"{verifying.at(header):%Y-%m-%dT%H:%M:%SZ}"
    for each in sorted({each.name for each in await store.tenants.list()} & set(tenants)):
        async with recorded(store, each, kind, header.id, of=header.kind, moment=moment):
            pass


def _kek(chosen: Settings, key_file: Path | None) -> Kek:
    with explained():
        directory = None if chosen.mongo_url else chosen.data_dir.expanduser()
        kek = kek_of(f"file:{key_file}", None) if key_file else kek_of(chosen.kek, directory)
    if kek is None:
        fail("A backup is encrypted: give --key-file a file of 32 random bytes, or configure FHIR_KEK.")
    return kek


@contextmanager
def _progress(title: str, *, quiet: bool) -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=errors, disable=quiet) as progress:
        bar, started = progress.add_task(title, total=None, rate=""), monotonic()

        def told(done: int, size: int, total: int) -> None:
            rate = f"{size / 2**20 / max(0.001, monotonic() - started):,.1f} MB/s"
            progress.update(bar, completed=done, total=total or None, rate=rate)

        yield told


def _header(header: Header) -> dict[str, Any]:
    shown = {name: getattr(header, name) for name in ("id", "kind", "tenant", "created", "based_on", "by")}
    return {**shown, "moment": verifying.at(header)}


def _described(made: Made) -> dict[str, Any]:
    counted = {"documents": made.manifest.documents, "bytes": made.manifest.bytes, "root": made.manifest.root}
    files = {"files": [str(each) for each in made.files], "file_bytes": sum(each.stat().st_size for each in made.files)}
    return {**_header(made.header), **counted, **files, "seconds": round(made.seconds, 3)}


def _sentence(done: str, made: Made) -> str:
    size = sum(each.stat().st_size for each in made.files) / 2**20
    return (
        f"{done}: {made.manifest.documents:,} documents, {made.manifest.bytes / 2**20:,.1f} MB in {size:,.1f} MB, "
        f"as of {verifying.at(made.header):%Y-%m-%d %H:%M:%S} UTC, in {made.seconds:,.1f} seconds.\n"
        + "\n".join(str(each) for each in made.files)
    )


def _restored_sentence(found: Restored) -> str:
    return (
        f"Restored: {found.documents:,} documents, {found.bytes / 2**20:,.1f} MB, as of "
        f"{verifying.at(found.header):%Y-%m-%d %H:%M:%S} UTC, in {found.seconds:,.1f} seconds; "
        f"all hashes are equal (root {found.root})."
    )


def _table_of_contents(found: list[Made]) -> Table:
    table = Table("file", "tenants", "documents", "MB", "root", "seconds", box=None)
    for each in found:
        manifest = each.manifest
        tenants = ", ".join(manifest.tenants) or "–"
        table.add_row(
            each.path.name,
            tenants,
            f"{manifest.documents:,}",
            f"{manifest.bytes / 2**20:,.1f}",
            manifest.root[:16],
            f"{each.seconds:,.1f}",
        )
    return table


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("file", "kind", "tenant", "moment (UTC)", "MB", "key", box=None)
    for each in rows:
        moment = f"{each['moment']:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            each["file"], each["kind"], each["tenant"] or "all", moment, f"{each['bytes'] / 2**20:,.1f}", each["by"]
        )
    return table
