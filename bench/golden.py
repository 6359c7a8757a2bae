"""`python -m bench.golden`: the searches that every client asks, on few and on many resources, side by side.

Both populations are served at the same time and asked in turns, so that what else the machine does meets both. Each
search is then asked once more under MongoDB's profiler, which tells how it was answered.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymongo import MongoClient
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import processes
from bench.client import Load, get
from bench.data import FAMILIES, VITALS
from bench.population import EACH, record

TENANT = "golden"
BASE = f"/fhir/{TENANT}"
DATABASE = "fhir"
WRITERS = 2
DEEP = 100
REQUESTS = 300
PROFILED = 25
MOST = 2.0
"""How much slower the 95th percentile may be on many resources than on few."""
POPULAR = "popular"
"""In the title of a search whose matches grow with the resources: shown beside the others, and not judged."""

Asked = Callable[["Served", random.Random], str]


@dataclass(frozen=True)
class Served:
    """One population behind a server of its own."""

    patients: int
    mongo_url: str
    port: int
    token: str

    @property
    def resources(self) -> int:
        return self.patients * EACH

    def page(self, url: str) -> dict[str, Any]:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request) as response:
            found: dict[str, Any] = json.load(response)
            return found

    def requests(self, asked: Asked) -> list[bytes]:
        chance = random.Random(1)
        return [get(quote(f"{BASE}/{asked(self, chance)}", safe="/?&=:|,-"), self.token) for _ in range(REQUESTS)]


def _number(served: Served, chance: random.Random) -> int:
    return chance.randrange(served.patients)


def _family(served: Served, chance: random.Random) -> str:
    """The name of somebody: some few have the same."""
    person = next(iter(record(_number(served, chance))))
    family: str = person["name"][0]["family"]
    return family


def _code(chance: random.Random) -> str:
    return chance.choice(VITALS)[0]


def _month(chance: random.Random) -> str:
    year, month = chance.randrange(2015, 2024), chance.randrange(1, 12)
    return f"date=ge{year}-{month:02}-01&date=lt{year}-{month + 1:02}-01"


def _deep(served: Served, _: random.Random) -> str:
    """The last page of many; where there are fewer, pages are smaller."""
    count = min(50, served.resources // (2 * DEEP))
    url = (
        f"http://127.0.0.1:{served.port}{BASE}/Observation?_lastUpdated=ge2000-01-01&_sort=_lastUpdated&_count={count}"
    )
    for _page in range(DEEP - 1):
        links = {each["relation"]: each["url"] for each in served.page(url)["link"]}
        url = links["next"]
    return url.partition(f"{BASE}/")[2]


def _once(asked: Asked) -> Asked:
    """Where finding the URL costs more than asking it."""
    known: dict[int, str] = {}

    def same(served: Served, chance: random.Random) -> str:
        if served.port not in known:
            known[served.port] = asked(served, chance)
        return known[served.port]

    return same


SEARCHES: dict[str, Asked] = {
    "identifier": lambda s, c: f"Patient?identifier=urn:bench:mrn|MRN{_number(s, c):08d}",
    "name": lambda s, c: f"Patient?name={_family(s, c)}",
    "name, a popular one": lambda _, c: f"Patient?name={c.choice(FAMILIES)}",
    "patient, code and date, newest first": lambda s, c: (
        f"Observation?patient=p{_number(s, c):07d}&code={_code(c)}&date=ge2016-01-01&_sort=-date"
    ),
    "code and date": lambda _, c: f"Observation?code={_code(c)}&{_month(c)}",
    "chain to a name": lambda s, c: f"Observation?subject:Patient.name={_family(s, c)}",
    "chain to a popular name": lambda _, c: f"Observation?subject:Patient.name={c.choice(FAMILIES)}",
    "_has": lambda s, c: f"Patient?_has:Observation:patient:code={_code(c)}&name={_family(s, c)}",
    "_include": lambda _, c: f"Observation?code={_code(c)}&_include=Observation:subject&_count=20",
    "_revinclude": lambda s, c: f"Patient?name={_family(s, c)}&_revinclude=Observation:patient",
    f"_lastUpdated, page {DEEP}": _once(_deep),
}


@dataclass
class Found:
    """How one search went on one population."""

    p50: float
    p95: float
    scans: bool = False
    sorts: bool = False
    examined: int = 0
    """The most documents that one query of MongoDB looked at."""
    queries: list[str] = field(default_factory=list)
    """Ways in which MongoDB answered."""


@contextmanager
def served(patients: int, directory: Path) -> Iterator[Served]:
    """What was written to the directory before is asked again."""
    filled = directory / f"{patients}-patients"
    with processes.database(directory) as mongo_url:
        if not filled.exists():
            processes.command("tenant", "create", TENANT, "--mongo-url", mongo_url)
            _fill(mongo_url, patients)
            filled.touch()
        minted = processes.command("token", "--tenant", TENANT, "--scope", "system/*.rs", "--mongo-url", mongo_url)
        port = processes.free_port()
        with processes.server(mongo_url, port):
            yield Served(patients, mongo_url, port, minted["token"])


def _fill(mongo_url: str, patients: int) -> None:
    """By several processes, each of which writes a share."""
    ends = [patients * share // WRITERS for share in range(WRITERS + 1)]
    command = [sys.executable, "-m", "bench.population", mongo_url, TENANT]
    started = time.perf_counter()
    writers = [subprocess.Popen([*command, str(a), str(b)]) for a, b in pairwise(ends)]
    with Progress() as progress, MongoClient[Any](mongo_url) as client:
        task = progress.add_task(f"{patients * EACH:,} resources", total=patients * EACH)
        while any(each.poll() is None for each in writers):
            progress.update(task, completed=client[DATABASE].resources.estimated_document_count())
            time.sleep(1)
    if any(each.returncode for each in writers):
        raise RuntimeError("a writer failed")
    seconds = time.perf_counter() - started
    Console().print(f"{patients * EACH:,} resources written in {seconds:.0f} s, {patients * EACH / seconds:,.0f}/s")


def measured(name: str, populations: list[Served], seconds: float, rounds: int) -> list[Found]:
    """In turns, one request at a time; the median of the rounds."""
    Console().print(name)
    requests = [each.requests(SEARCHES[name]) for each in populations]
    loads: list[list[Load]] = [[] for _ in populations]
    for _ in range(rounds):
        for place, each in enumerate(populations):
            loads[place].append(_load(each, requests[place], seconds))
    return [
        _explained(
            Found(statistics.median(x.p50 for x in found), statistics.median(x.p95 for x in found)), each, listed
        )
        for each, found, listed in zip(populations, loads, requests, strict=True)
    ]


def _load(asked: Served, requests: list[bytes], seconds: float) -> Load:
    load = processes.load(asked.port, requests, seconds=seconds, connections=1)
    if load.failures:
        raise RuntimeError(f"{load.failures} requests failed, the first of them like {requests[0][:200]!r}")
    return load


def _explained(found: Found, asked: Served, requests: list[bytes]) -> Found:
    """What MongoDB's profiler says. https://www.mongodb.com/docs/manual/reference/database-profiler/"""
    with MongoClient[Any](asked.mongo_url) as client:
        database = client[DATABASE]
        database.command("profile", 2)
        processes.send_all(asked.port, requests[:PROFILED], connections=1)
        database.command("profile", 0)
        for each in database["system.profile"].find({"ns": f"{DATABASE}.resources", "planSummary": {"$exists": True}}):
            found.scans |= "COLLSCAN" in each["planSummary"]
            found.sorts |= bool(each.get("hasSortStage"))
            found.examined = max(found.examined, each.get("docsExamined", 0))
            found.queries = sorted({*found.queries, each["planSummary"]})
        database["system.profile"].drop()
    return found


def show(populations: list[Served], figures: dict[str, list[Found]]) -> bool:
    """The table; whether nothing was slower than it may be, scanned or sorted."""
    console = Console()
    table = Table("search", *(f"p50 / p95 ms at {each.resources:,}" for each in populations), "ratio", "plan")
    good = True
    for name, (small, large) in figures.items():
        faults = [fault for fault, there in (("COLLSCAN", large.scans), ("SORT", large.sorts)) if there]
        ratio = large.p95 / small.p95
        good &= (ratio <= MOST or POPULAR in name) and not faults
        plan = f"{', '.join(faults) or 'indexes'}, {small.examined:,} and {large.examined:,} documents"
        table.add_row(name, *(f"{x.p50:.1f} / {x.p95:.1f}" for x in (small, large)), f"{ratio:.2f}", plan)
    console.print(table)
    return good


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.golden", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--few", type=int, default=1_000, help=f"patients, with {EACH} resources each")
    parser.add_argument("--many", type=int, default=100_000, help="patients of the other population")
    parser.add_argument("--seconds", type=float, default=3, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each search")
    parser.add_argument("--json", type=Path, default=Path("bench/results/golden.json"), help="where the figures go")
    parser.add_argument("--directory", type=Path, help="where the populations are kept, to be asked again")
    asked = parser.parse_args()
    with ExitStack() as stack:
        place = asked.directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fhir-golden-")))
        sizes = {"few": asked.few, "many": asked.many}
        populations = [stack.enter_context(served(number, place / name)) for name, number in sizes.items()]
        figures = {name: measured(name, populations, asked.seconds, asked.rounds) for name in SEARCHES}
    good = show(populations, figures)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    listed = {name: [asdict(each) for each in found] for name, found in figures.items()}
    asked.json.write_text(
        json.dumps({"resources": [each.resources for each in populations], "searches": listed}, indent=2)
    )
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
