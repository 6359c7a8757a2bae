"""`python -m bench.sealing`: what encryption costs the server's processor, request by request.

The same requests go to a tenant that is encrypted and to one that is not, in turns, in one process and without sockets;
only this process's own time on the processor is counted, and the best of all rounds is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from typing import Any

from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

from bench import data, processes
from fhir_server.app import build
from fhir_server.auth.tokens import issue
from fhir_server.fhir import json
from fhir_server.settings import Settings

BASE = "http://bench.example.org"
PLAIN, SEALED = "plain", "sealed"
PATIENTS = 50
"""Of a round; each is new, so that each has a key made."""

Costs = dict[str, dict[str, float]]
Requests = Iterator[tuple[str, str, bytes]]


@dataclass(frozen=True, slots=True)
class Place:
    """One tenant of a running application, without the sockets in front of it."""

    app: FastAPI
    tenant: str
    token: str

    async def ask(self, method: str, path: str, body: bytes = b"") -> None:
        answered: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            answered.append(message.get("status", 0))

        path, _, query = f"/fhir/{self.tenant}/{path}".partition("?")
        headers = [(b"authorization", f"Bearer {self.token}".encode()), (b"content-type", b"application/fhir+json")]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "root_path": "",
            "scheme": "http",
        }
        about = {"query_string": query.encode(), "headers": headers, "client": ("127.0.0.1", 1), "server": ("x", 80)}
        await self.app({**scope, **about, "raw_path": path.encode()}, receive, send)
        assert answered[0] in (200, 201), (method, path, answered)


def _new_patients(number: int) -> Requests:
    chance = random.Random(number)
    for each in range(PATIENTS):
        patient = {**data.patient(chance, number * PATIENTS + each), "id": f"p{number}-{each}"}
        yield "PUT", f"Patient/{patient['id']}", json.encode(patient)


def _observations(number: int) -> Requests:
    chance = random.Random(number)
    for each in range(2 * PATIENTS):
        found = data.observation(chance, datetime.now(UTC), f"Patient/p{number}-{each % PATIENTS}", "Encounter/e")
        yield "POST", "Observation", json.encode(found)


MEASURED: dict[str, Callable[[int], Requests]] = {
    "update that creates a Patient": _new_patients,
    "create an Observation": _observations,
    "read a Patient": lambda number: (("GET", f"Patient/p{number}-{each}", b"") for each in range(PATIENTS)),
    "search page of 50": lambda _: (("GET", "Observation?_count=50", b"") for _ in range(PATIENTS)),
    "search by name": lambda _: (("GET", "Patient?family=nguy&_count=5", b"") for _ in range(PATIENTS)),
}


async def measured(url: str, name: str, rounds: int) -> Costs:
    """Microseconds of processor time by request and tenant."""
    costs: defaultdict[str, dict[str, float]] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kek"
        file.write_bytes(bytes(32))
        file.chmod(0o600)
        app = build(Settings(base_url=BASE, mongo_url=url, database=name, kek=f"file:{file}", log_level="ERROR"))
        async with app.router.lifespan_context(app):
            places = [await _place(app, tenant) for tenant in (PLAIN, SEALED)]
            for number in range(rounds):
                for what, requests in MEASURED.items():
                    for place in places:
                        cost = await _cost(place, list(requests(number)))
                        costs[what][place.tenant] = min(cost, costs[what].get(place.tenant, cost))
    return costs


async def _place(app: FastAPI, tenant: str) -> Place:
    settings = {"references": "free"}
    await app.state.store.tenants.create(tenant, native="off", settings=settings, encrypted=tenant == SEALED)
    key = await app.state.keyring.signing(tenant)
    token = issue(key, base_url=BASE, tenant=tenant, scope="system/*.cruds", subject="bench", client_id="bench")
    return Place(app, tenant, token)


async def _cost(place: Place, requests: list[tuple[str, str, bytes]]) -> float:
    started = process_time()
    for each in requests:
        await place.ask(*each)
    return (process_time() - started) / len(requests) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sealing", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, processes.database(Path(folder)) as url:
        costs = asyncio.run(measured(url, "sealing", asked.rounds))
    table = Table("µs of processor", PLAIN, SEALED, "ratio", title="What encryption costs")
    for what, cost in costs.items():
        table.add_row(what, *(f"{cost[each]:,.0f}" for each in (PLAIN, SEALED)), f"{cost[SEALED] / cost[PLAIN]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
