"""`make bench-backup`: a tenant backed up, verified, and restored into an empty store, in megabytes a second."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench.population import EACH, write
from bench.processes import database
from fhir_server.access.caller import Caller
from fhir_server.store.backup.changing import increment
from fhir_server.store.backup.creating import Made, create
from fhir_server.store.backup.restoring import Restored, restore
from fhir_server.store.backup.verifying import verify
from fhir_server.store.connection import opened
from fhir_server.store.kek.file import FileKek

RESULTS = Path(__file__).parent / "results/backup.json"
TENANT = "backup"
CHANGED = 1_000
"""Patients that are updated between the full backup and the increment."""


async def measured(source: str, empty: str, folder: Path, patients: int) -> list[dict[str, float | str]]:
    kek = FileKek(_key(folder))
    async with opened(mongo_url=source) as store:
        await store.tenants.create(TENANT)
        await write(source, TENANT, 0, patients)
        full = await create(store, kek, folder, tenant=TENANT)
        tenant = await store.tenants.latest(TENANT)
        repository = store.repository(tenant, Caller.system(TENANT, "benchmark"))
        names = [f"p{number:07d}" for number in range(min(CHANGED, patients))]
        await repository.put_many([{"resourceType": "Patient", "id": each, "active": False} for each in names])
        more = await increment(store, kek, folder, full.path)
    read = await verify(full.path, kek)
    async with opened(mongo_url=empty) as store:
        back = await restore(store, kek, [full.path, more.path])
    return [_figure("create", full), _figure("increment", more), _figure("verify", read), _restored(back)]


def _key(folder: Path) -> Path:
    path = folder / "key"
    path.touch(0o600)
    path.write_bytes(secrets.token_bytes(32))
    return path


def _figure(name: str, made: Made) -> dict[str, float | str]:
    sizes = {"documents": made.manifest.documents, "megabytes": made.manifest.bytes / 2**20}
    return {"what": name, **sizes, "file_megabytes": made.path.stat().st_size / 2**20, "seconds": made.seconds}


def _restored(found: Restored) -> dict[str, float | str]:
    sizes = {"documents": found.documents, "megabytes": found.bytes / 2**20, "file_megabytes": 0.0}
    return {"what": "restore and compare", **sizes, "seconds": found.seconds, "compared": found.compared_seconds}


def shown(figures: list[dict[str, float | str]]) -> Table:
    table = Table("", "documents", "MB", "MB of files", "seconds", "MB/s", title="backup")
    for each in figures:
        rate = float(each["megabytes"]) / float(each["seconds"])
        numbers = (f"{float(each[name]):,.1f}" for name in ("megabytes", "file_megabytes", "seconds"))
        table.add_row(str(each["what"]), f"{each['documents']:,}", *numbers, f"{rate:,.1f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.backup", description=__doc__)
    parser.add_argument("--resources", type=int, default=100_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fhir-backup-") as name:
        folder = Path(name)
        with database(folder / "source") as source, database(folder / "empty") as empty:
            started = time.process_time()
            figures = asyncio.run(measured(source, empty, folder, chosen.resources // EACH))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    console = Console()
    console.print(shown(figures))
    console.print(f"{os.cpu_count()} cores; {time.process_time() - started:,.1f} s of processor time, data included")


if __name__ == "__main__":
    main()
