"""`python -m bench.mapping`: legacy rows to resources, alone and into MongoDB; memory at few rows and at many.

Mapping only is what a row becomes: every resource it gives, as objects that are ready for JSON, with their ids,
references, `meta` and identifiers, and every finding. Reading, hashing, validating, Provenance and encoding are not in
it; they are all in the run end to end, whose yardstick is `insert_many` of the very documents that it stored.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from rich.progress import track

from bench import processes, report
from bench.inserting import insert_many
from bench.report import Figure
from fhir_server.mapping import migration
from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.context import Context
from fhir_server.mapping.identity import Identity
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Row, Source, Span
from fhir_server.store.connection import opened
from seed.systems import SYSTEMS

BASE = "https://bench.example"
DATABASE = "fhir"
ROWS_A_SECOND = {"mk.patients": 50_000, "mk.vitals": 30_000}
END_TO_END = ("mk", "pms")
RATIO = 0.3
FEW, MANY = 10_000, 1_000_000
GROWTH = 1.1
"""How much more memory many rows may take than few."""
SAMPLE = 1_000
"""Patients whose rows are mapped again and again, each time under new keys."""


@dataclass(frozen=True)
class Sample:
    """Rows of one table with what is read with them, in memory."""

    table: Compiled
    rows: Sequence[Row]
    related: Sequence[dict[str, Any]]


def sample(directory: Path, name: str) -> Sample:
    system, _, table = name.partition(".")
    found = migration.declared(system)
    source = Source(_seeded(directory, system, SAMPLE))
    source.expect(found.tables)
    mapping = found.tables[table]
    rows = source.page(mapping, None, Span(), SAMPLE * 10)
    related = source.related(mapping, rows)
    source.close()
    return Sample(compiled(mapping, found), rows, related)


def _seeded(directory: Path, system: str, patients: int) -> str:
    """The sample database of a system; written once."""
    file = directory / f"{system}-{patients}.sqlite"
    url = f"sqlite:///{file}"
    if not file.exists():
        SYSTEMS[system].write(url, rows=patients, tenant="bench", seed=1, progress=lambda _, __: None)
    return url


def mapped(found: Sample, seconds: float) -> float:
    """Rows a second of processor time on one core, the best of the rounds of so long; a round begins with new ids.

    Whatever else a machine does only ever makes a round slower.
    """
    gc.collect()
    gc.freeze()
    best, number, end = 0.0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        context, number = _context(str(number)), number + 1
        started = time.process_time()
        for row, related in zip(found.rows, found.related, strict=True):
            found.table.drafts(row, found.table.key(row), related, context, [])
        best = max(best, len(found.rows) / (time.process_time() - started))
    return best


def _context(tenant: str) -> Context:
    return Context(Identity(BASE, tenant), date(2025, 6, 30))


def stored(directory: Path, mongo_url: str, system: str, patients: int) -> Iterator[Figure]:
    """A whole run, and then `insert_many` of the documents that are there after it."""
    rows, seconds, used = asyncio.run(_migrated(mongo_url, system, _seeded(directory, system, patients)))
    database: Any = MongoClient(mongo_url, w="majority", journal=True)[DATABASE]
    count = database.resources.count_documents({"t": system})
    bare = insert_many(database, system)
    yield Figure(f"{system} end to end", count / seconds, "resources/s", bare, RATIO)
    yield Figure(f"{system} rows end to end", rows / seconds, "rows/s")
    yield Figure(f"{system} processor time", used / count * 1e6, "µs/resource")


async def _migrated(mongo_url: str, system: str, url: str) -> tuple[int, float, float]:
    """How many rows were read in how many seconds, and of processor time; every table, Provenance for each row."""
    source = Source(url)
    async with opened(mongo_url=mongo_url, database=DATABASE) as store:
        tenant = await store.tenants.create(system)
        found = migration.declared(system, tenant)
        keys = migration.keys(found, [f"{name}={key}" for name, key in SYSTEMS[system].keys.items()])
        whose = migration.whose(found, source, system, None)
        options = Options(source_tenant=whose, error_limit=1.0, provenance="row")
        started, used = time.perf_counter(), time.process_time()
        done = await migration.migrate(store, tenant, found, source, opening=keys, options=options)
        seconds, used = time.perf_counter() - started, time.process_time() - used
    source.close()
    return sum(each.rows for each in done.tables), seconds, used


def resident(directory: Path, rows: int) -> float:
    """The most MiB that a process takes which maps so many rows of vital signs, as a stream."""
    command = [sys.executable, "-m", "bench.mapping", "--stream", str(rows), "--directory", str(directory)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def stream(directory: Path, rows: int) -> float:
    found, context = sample(directory, "mk.vitals"), _context("stream")
    at = list(found.table.table.columns).index("patient_id")
    with migration.unhurried_collection():
        for number, (row, related) in enumerate(islice(cycle(zip(found.rows, found.related, strict=True)), rows), 1):
            again = (number, number // 3, *row[2:]) if at == 1 else (number, *row[1:])
            found.table.drafts(again, found.table.key(again), related, context, [])
    return _peak()


def _peak() -> float:
    """What `getrusage` says would begin with the memory of the process that started this one."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


def measure(directory: Path, seconds: float, patients: int, many: int) -> Iterator[Figure]:
    for name, target in ROWS_A_SECOND.items():
        yield Figure(f"{name}, mapping only", mapped(sample(directory, name), seconds), "rows/s", target=target)
    with processes.database(directory / "mongod") as mongo_url:
        for system in END_TO_END:
            yield from stored(directory, mongo_url, system, patients)
    few = resident(directory, FEW)
    yield Figure(f"memory at {many:,} rows ÷ {FEW:,}", resident(directory, many), "MiB", few, GROWTH, at_most=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mapping", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="in which the best round counts")
    parser.add_argument("--patients", type=int, default=500, help="patients of the runs end to end")
    parser.add_argument("--many", type=int, default=MANY, help="rows of the memory measurement")
    parser.add_argument("--json", type=Path, default=Path("bench/results/mapping.json"), help="where the figures go")
    parser.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stream:
        print(json.dumps(stream(asked.directory, asked.stream)))
        return
    with tempfile.TemporaryDirectory(prefix="fhir-bench-") as directory:
        figures = list(track(measure(Path(directory), asked.seconds, asked.patients, asked.many), total=None))
    report.show(figures, {})
    report.write(asked.json, figures, {})


if __name__ == "__main__":
    main()
