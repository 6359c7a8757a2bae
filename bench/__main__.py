"""`python -m bench`: measure, print a table, write `bench/results/latest.json`.  Targets: README, section Figures.

Every ratio compares this server with a bare application that does the one MongoDB call and returns the same bytes, in
alternating rounds on the same machine in the same run; the median of the rounds, and of their ratios, is shown. Rows
'with audit' compare it with itself while it records nothing, as it does in all other rows.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from rich.progress import track

from bench import processes, report, stages, tokens
from bench.client import Load, get, post
from bench.data import bundle
from bench.inserting import insert_many
from bench.report import Figure
from fhir_server.fhir import json

TENANT = "bench"
BASE = f"/fhir/{TENANT}"
DATABASE = "fhir"
READS = "read by id"
MANY = 64
"""Connections, where answers wait for a disk: what is measured is how many are answered, not how long one takes."""


class Run:
    """One run: the ports, the token and the MongoDB client that the measurements share."""

    def __init__(
        self, mongo_url: str, ours: int, bare: int, recording: int, token: str, seconds: float, rounds: int
    ) -> None:
        self.mongo_url, self.ours, self.bare, self.token = mongo_url, ours, bare, token
        self.recording = recording
        self.seconds, self.rounds = seconds, rounds
        self.database: Any = MongoClient(mongo_url, w="majority", journal=True)[DATABASE]

    def against(self, name: str, ours: list[bytes], bare: list[bytes], target: float | None) -> Figure:
        """Alternate rounds of ours and the yardstick, median of each."""
        mine, theirs = self._alternating(name, (self.ours, ours), (self.bare, bare))
        return _compared(name, mine, theirs, target, {"p99 ms": _p99(mine)})

    def recorded(self, name: str, requests: list[bytes], target: float | None) -> Figure:
        """The same requests with and without an event of each."""
        mine, theirs = self._alternating(name, (self.recording, requests), (self.ours, requests), connections=MANY)
        more = {"p99 ms": _p99(mine), "p99 ms without audit": _p99(theirs)}
        return _compared(name, mine, theirs, target, more)

    def _alternating(self, name: str, *sides: tuple[int, list[bytes]], connections: int = 16) -> tuple[list[Load], ...]:
        """What each side took in each round."""
        rounds = track(range(self.rounds), description=f"{name:24}")
        loads = [[self._load(port, requests, connections) for port, requests in sides] for _ in rounds]
        return tuple([each[side] for each in loads] for side in range(len(sides)))

    def _load(self, port: int, requests: list[bytes], connections: int) -> Load:
        load = processes.load(port, requests, seconds=self.seconds, connections=connections)
        if load.failures:
            raise RuntimeError(f"{load.failures} requests failed, the first of them like {requests[0][:200]!r}")
        return load


def _compared(name: str, mine: list[Load], theirs: list[Load], target: float | None, more: dict[str, float]) -> Figure:
    rounds = tuple((ours.rate, bare.rate) for ours, bare in zip(mine, theirs, strict=True))
    return Figure(name, _median(mine), "/s", _median(theirs), target, more=more, rounds=rounds)


def _median(loads: list[Load]) -> float:
    return statistics.median(each.rate for each in loads)


def _p99(loads: list[Load]) -> float:
    return statistics.median(each.p99 for each in loads)


def ingest(run: Run, patients: int) -> Figure:
    """Transactions of one patient each, against `insert_many` of the very documents they became."""
    bodies = [post(BASE, json.encode(bundle(seed)), run.token) for seed in range(patients)]
    count = sum(len(bundle(seed)["entry"]) for seed in range(patients))
    started = time.perf_counter()
    failures = processes.send_all(run.ours, bodies)
    ours = count / (time.perf_counter() - started)
    if failures:
        raise RuntimeError(f"{failures} transactions failed")
    return Figure("transaction ingest", ours, "resources/s", insert_many(run.database, TENANT), 0.3)


def read(run: Run) -> Figure:
    ids = _observations(run)
    bare = [get(f"/read/{TENANT}|Observation|{each}") for each in ids]
    return run.against(READS, _reads(run, ids), bare, 0.6)


def recorded_read(run: Run) -> Figure:
    return run.recorded("read with audit", _reads(run, _observations(run)), 0.7)


def recorded_create(run: Run) -> Figure:
    """Its event is in the transaction that it then needs."""
    return run.recorded("create with audit", [post(f"{BASE}/Observation", _observation(run), run.token)], None)


def _reads(run: Run, ids: list[str]) -> list[bytes]:
    return [get(f"{BASE}/Observation/{each}", run.token) for each in ids]


def _observations(run: Run) -> list[str]:
    ids = [
        each["id"] for each in run.database.resources.find({"t": TENANT, "rt": "Observation"}, {"id": 1}).limit(5000)
    ]
    random.Random(1).shuffle(ids)
    return ids


def search(run: Run) -> Figure:
    codes = ("8867-4", "8480-6", "8462-4", "29463-7")
    ours = [get(f"{BASE}/Observation?code=http://loinc.org|{code}", run.token) for code in codes]
    bare = [
        get(f"/search/?rt=Observation&tok=code=http://loinc.org|{code}".replace("tok=code=", "tok=code%3D"))
        for code in codes
    ]
    return run.against("search page of 50", ours, bare, 0.5)


def create(run: Run) -> Figure:
    body = _observation(run)
    return run.against("create", [post(f"{BASE}/Observation", body, run.token)], [post("/create/", body)], None)


def _observation(run: Run) -> bytes:
    """Of one patient, without the other references that would need resources of their own."""
    patient = run.database.resources.find_one({"t": TENANT, "rt": "Patient"}, {"id": 1})["id"]
    resources = (entry["resource"] for entry in bundle(1)["entry"])
    drawn = next(each for each in resources if each["resourceType"] == "Observation")
    observation = {name: value for name, value in drawn.items() if name != "encounter"}
    return json.encode({**observation, "subject": {"reference": f"Patient/{patient}"}})


def sizes(run: Run) -> list[Figure]:
    stats = run.database.command("collStats", "resources")
    run.database.client.admin.command("fsync")
    count = stats["count"]
    return [
        Figure("data per resource", stats["storageSize"] / count, "bytes"),
        Figure("index per resource", stats["totalIndexSize"] / count, "bytes"),
    ]


MEASUREMENTS: tuple[Callable[[Run], Figure], ...] = (read, search, create, recorded_read, recorded_create)


def measure(seconds: float, rounds: int, patients: int) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="fhir-bench-") as directory,
        processes.database(Path(directory)) as mongo_url,
    ):
        processes.command("tenant", "create", TENANT, "--mongo-url", mongo_url)
        minted = processes.command("token", "--tenant", TENANT, "--scope", "system/*.cruds", "--mongo-url", mongo_url)
        ours, bare, recording = (processes.free_port() for _ in range(3))
        with (
            processes.server(mongo_url, ours, audit=False) as (server, cold),
            processes.server(mongo_url, recording),
            processes.yardstick(mongo_url, DATABASE, bare),
        ):
            idle = processes.memory(server.pid)
            run = Run(mongo_url, ours, bare, recording, minted["token"], seconds, rounds)
            figures = [ingest(run, patients), *(each(run) for each in MEASUREMENTS), *sizes(run)]
        reads = next(each.ours for each in figures if each.name == READS)
        return [
            *figures,
            *tokens.figures(reads),
            Figure("cold start", cold, "s", target=3, at_most=True),
            Figure("idle memory per worker", idle, "MiB", target=150, at_most=True),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=4, help="length of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement")
    parser.add_argument("--patients", type=int, default=150, help="patients loaded, about 65 resources each")
    parser.add_argument("--json", type=Path, default=Path("bench/results/latest.json"), help="where the figures go")
    asked = parser.parse_args()
    figures = measure(asked.seconds, asked.rounds, asked.patients)
    costs = stages.measured()
    report.show(figures, costs)
    report.write(asked.json, figures, costs)


if __name__ == "__main__":
    main()
