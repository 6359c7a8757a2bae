"""`python -m bench.systems`: every table of all five systems, from rows to FHIR and once more.

Each sample database is written, migrated, migrated again and reconciled, as an operator would, for each practice in it
into a tenant of its own; then every resource that is stored is validated anew. Rows that all practices share are read
for each of them. It ends with exit code 1 where a sum does not add up, a resource is not valid, or a
second run finds anything to do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from rich.console import Console
from rich.table import Table

from bench.processes import CLI, database
from fhir_server.fhir import json as fhir_json
from fhir_server.fhir import validate
from fhir_server.fhir.outcome import FhirError
from fhir_server.mapping import catalogue
from fhir_server.mapping.source import Source
from seed.systems import SYSTEMS

DATABASE = "fhir"
Json = dict[str, Any]


@dataclass
class TableRun:
    """One documented table: what a first run made of its rows, and how long it took."""

    table: str
    rows: int = 0
    resources: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    seconds: float = 0.0


@dataclass
class SystemRun:
    """One system, with everything that is wrong with its migration."""

    system: str
    seconds: float = 0.0
    again: float = 0.0
    resources: int = 0
    invalid: int = 0
    tables: dict[str, TableRun] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, run: Json, resources: dict[str, int]) -> None:
        """What one practice has of a table."""
        table = self.tables.setdefault(run["table"], TableRun(run["table"]))
        table.rows += run["rows"]
        table.resources = dict(sorted((Counter(table.resources) + Counter(resources)).items()))
        table.quarantined += run["counts"]["quarantined"]
        table.seconds += run["seconds"]


def measured(system: str, patients: int, workers: int, mongo_url: str, folder: Path) -> SystemRun:
    """All practices of a sample."""
    url, found = f"sqlite:///{folder / system}.db", SystemRun(system)
    _command("seed", "--system", system, "--rows", str(patients), "--to", url, "--tenant", system)
    for number, practice in enumerate(_practices(system, url), 1):
        whose = ("--source-tenant", practice) if practice else ()
        _migrated(found, url, f"{system}-{number}", whose, workers, mongo_url)
    if found.invalid:
        found.faults.append(f"{found.invalid} resources are not valid.")
    return found


def _practices(system: str, url: str) -> list[str | None]:
    """The tenants of a source; None where its rows are of one, or never say."""
    declared, source = catalogue.load(system), Source(url)
    source.expect(declared.tables)
    names = {name for table in declared.in_order() for name in source.tenants(table)}
    source.close()
    return [*sorted(names)] if len(names) > 1 else [None]


def _migrated(found: SystemRun, url: str, tenant: str, whose: tuple[str, ...], workers: int, mongo_url: str) -> None:
    at = ("--mongo-url", mongo_url)
    _command("tenant", "create", tenant, *at)
    keys = [word for name, key in SYSTEMS[found.system].keys.items() for word in ("--key", f"{name}={key}")]
    where = ("--source", found.system, "--from", url, "--tenant", tenant, *whose, *at)
    first, seconds = _timed("migrate", "run", *where, *keys, "--workers", str(workers))
    second, again = _timed("migrate", "run", *where, *keys, "--workers", str(workers))
    report = _command("migrate", "report", *where)
    resources, invalid = _validated(mongo_url, tenant)
    found.seconds, found.again = found.seconds + seconds, found.again + again
    found.resources, found.invalid = found.resources + resources, found.invalid + invalid
    for run, now in zip(first["tables"], report["tables"], strict=True):
        found.add(run, now["resources"])
    faults = [*_unfinished(first), *_changed(second), *_wrong_sums(report)]
    found.faults += [f"{tenant}: {each}" for each in faults]


def _timed(*words: str) -> tuple[Json, float]:
    began = time.perf_counter()
    return _command(*words), time.perf_counter() - began


def _command(*words: str) -> Json:
    """What a command prints with `--json`; its exit code says less than that."""
    done = subprocess.run([*CLI, *words, "--json"], capture_output=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr.decode())
    found: Json = json.loads(done.stdout)
    return found


def _unfinished(run: Json) -> Iterator[str]:
    for each in run["tables"]:
        if each["stopped"]:
            yield f"{each['table']} was stopped: {each['stopped']}"
        if each["rows"] != sum(each["counts"].values()):
            yield f"{each['table']}: {each['rows']} rows were read, and {sum(each['counts'].values())} counted."


def _changed(run: Json) -> Iterator[str]:
    for each in run["tables"]:
        if each["counts"]["unchanged"] != each["rows"] or each["resources"]:
            yield f"{each['table']}: the second run found something to do: {each['counts']} {each['resources']}"


def _wrong_sums(report: Json) -> Iterator[str]:
    for each in report["checks"]:
        if not each["holds"]:
            yield f"{each['what']}: {each['left']} and {each['right']}"


def _validated(mongo_url: str, tenant: str) -> tuple[int, int]:
    """How many resources are stored, and how many of them are not valid R4."""
    counted: Counter[bool] = Counter()
    with MongoClient[Json](mongo_url) as client:
        for each in client[DATABASE].resources.find({"t": tenant, "del": False}, {"body": 1}):
            counted[_is_valid(fhir_json.trusted(bytes(each["body"])))] += 1
    return counted.total(), counted[False]


def _is_valid(resource: Any) -> bool:
    try:
        validate.check(resource)
    except FhirError:
        return False
    return True


def show(runs: list[SystemRun], patients: int) -> None:
    console = Console()
    for run in runs:
        title = f"{SYSTEMS[run.system].title} ({run.system}), {patients:,} patients"
        table = Table("table", "rows", "resources and records", "quarantined", "seconds", title=title)
        for each in run.tables.values():
            types = ", ".join(f"{count:,} {name}" for name, count in each.resources.items())
            table.add_row(each.table, f"{each.rows:,}", types, f"{each.quarantined:,}", f"{each.seconds:.1f}")
        console.print(table, _summary(run), sep="\n")
        for fault in run.faults:
            console.print(f"[bold red]{fault}[/]")


def _summary(run: SystemRun) -> str:
    rows = sum(each.rows for each in run.tables.values())
    return (
        f"{rows:,} rows of {len(run.tables)} tables in {run.seconds:.1f} s, again in {run.again:.1f} s; "
        f"{run.resources:,} resources, {run.invalid} invalid; {len(run.faults)} faults."
    )


def markdown(runs: list[SystemRun]) -> str:
    """The same as a table for a page."""
    lines = ["| System | Table | Rows | Resources and records | Quarantined | Seconds |", "|---|---|---|---|---|---|"]
    for run in runs:
        for each in run.tables.values():
            types = ", ".join(f"{count:,} {name}" for name, count in each.resources.items()) or "–"
            figures = f"{each.rows:,} | {types} | {each.quarantined:,} | {each.seconds:.1f}"
            lines.append(f"| {run.system} | `{each.table}` | {figures} |")
    return "\n".join([*lines, "", *(f"{run.system}: {_summary(run)}\n" for run in runs)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.systems", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=10_000, help="patients of each system")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that share a run")
    parser.add_argument("--systems", nargs="*", default=sorted(SYSTEMS), choices=sorted(SYSTEMS), help="only these")
    parser.add_argument("--results", type=Path, default=Path("bench/results"), help="folder for systems.json and .md")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fhir-bench-") as name, database(Path(name) / "store") as mongo_url:
        folder = Path(name)
        runs = [measured(each, asked.patients, asked.workers, mongo_url, folder) for each in asked.systems]
    show(runs, asked.patients)
    asked.results.mkdir(parents=True, exist_ok=True)
    found = {"patients": asked.patients, "systems": [asdict(each) for each in runs]}
    (asked.results / "systems.json").write_text(json.dumps(found, indent=2) + "\n")
    (asked.results / "systems.md").write_text(markdown(runs))
    sys.exit(any(run.faults for run in runs))


if __name__ == "__main__":
    main()
