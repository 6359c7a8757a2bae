"""`python -m bench.audit`: how many events a second the journal records for one tenant, and how fast they are verified.

Each round has so many requests in flight, which record an event, wait for it to be durable, and record the next.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import uvloop
from rich.console import Console
from rich.table import Table

from bench import processes
from fhir_server.fhir import audit
from fhir_server.fhir.audit import Agent, Code, Event
from fhir_server.store.connection import Store, opened
from fhir_server.store.recorded import Recorded
from fhir_server.store.verification import Verification

TENANT = "acme"
IN_FLIGHT = (1, 16, 64, 256)
RESULTS = Path(__file__).parent / "results" / "audit.json"

REST = Code("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation")
READ = Code("http://hl7.org/fhir/restful-interaction", "read", "read")
PROFILE = f"{audit.BALP}StructureDefinition/IHE.BasicAudit.PatientRead"
AGENTS = (
    Agent((audit.SOURCE,), reference="Device/app", address="192.0.2.1"),
    Agent((audit.OAUTH,), reference="Practitioner/dr", requestor=True, policies=(f"{audit.JTI}1",)),
    Agent((audit.DESTINATION,), display="fhir-server", address="https://fhir.example", address_type="5"),
)


@dataclass(frozen=True, slots=True)
class Round:
    in_flight: int
    events: int
    seconds: float
    p50: float
    p99: float
    recording: float
    """Microseconds of processor time for an event, in this process."""
    mongod: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def read(number: int) -> Event:
    """What a read of an observation leaves."""
    entities = (
        audit.data(f"Observation/o{number}/_history/1"),
        audit.patient(f"Patient/p{number % 1000}"),
        audit.request(uuid4().hex),
    )
    return Event(REST, (READ,), "R", datetime.now(UTC), AGENTS, entities, profiles=(PROFILE,))


async def measured(store: Store, in_flight: int, seconds: float, mongod: int) -> Round:
    waits: list[float] = []
    began, cpu, theirs = time.perf_counter(), time.process_time(), _cpu(mongod)

    async def requests() -> None:
        while time.perf_counter() - began < seconds:
            started = time.perf_counter()
            await store.journal.record(TENANT, read(len(waits)))
            waits.append(time.perf_counter() - started)

    await asyncio.gather(*(requests() for _ in range(in_flight)))
    took, count = time.perf_counter() - began, len(waits)
    own, other = time.process_time() - cpu, _cpu(mongod) - theirs
    waits.sort()
    at = [waits[int(count * share)] * 1e3 for share in (0.5, 0.99)]
    return Round(in_flight, count, took, at[0], at[1], own / count * 1e6, other / count * 1e6)


def _cpu(process: int) -> float:
    """Seconds of processor time so far. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def verified(store: Store) -> float:
    """Entries a second, each with its event, of processor time of this process."""
    tenant = await store.tenants.latest(TENANT)
    keys = {each.kid: each.public for each in await store.keys.attesting(TENANT)}
    found = Verification(Recorded(store.of(tenant), TENANT), TENANT, await store.keys.witness(TENANT), keys)
    began = time.process_time()
    fault = await anext(found.faults(), None)
    assert fault is None, fault
    return found.counts.entries / (time.process_time() - began)


async def run(mongo_url: str, seconds: float, mongod: int) -> tuple[list[Round], float]:
    async with opened(mongo_url=mongo_url, database="audit") as store:
        await store.tenants.create(TENANT)
        await measured(store, 16, 1.0, mongod)
        rounds = [await measured(store, each, seconds, mongod) for each in IN_FLIGHT]
        return rounds, await verified(store)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="length of a round")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fhir-audit-") as place, processes.database(Path(place)) as mongo_url:
        rounds, speed = uvloop.run(run(mongo_url, asked.seconds, _mongod(place)))
    table = Table(
        "in flight", "events a second", "p50 ms", "p99 ms", "µs of CPU, recording", "µs of CPU, mongod", box=None
    )
    for each in rounds:
        figures = (each.rate, each.p50, each.p99, each.recording, each.mongod)
        table.add_row(str(each.in_flight), *(f"{figure:,.1f}" for figure in figures))
    Console().print(table)
    print(f"verified: {speed:,.0f} entries with their events for each second of processor time")
    RESULTS.parent.mkdir(exist_ok=True)
    listed = [{**asdict(each), "rate": each.rate} for each in rounds]
    RESULTS.write_text(json.dumps({"rounds": listed, "verified": speed}, indent=2) + "\n")


def _mongod(place: str) -> int:
    """The process that has this directory."""
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            line = (each / "cmdline").read_bytes().decode(errors="replace")
            if re.search(rf"mongod\0.*{re.escape(place)}", line, re.S):
                return int(each.name)
    raise SystemExit("The mongod of this run was not found.")


if __name__ == "__main__":
    main()
