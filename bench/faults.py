"""`make bench-faults`: primaries killed and paused under load, and what became of what was acknowledged.

The control does the same with write concern 1, and has to lose some: else the harness would not notice a loss.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec
from pymongo import AsyncMongoClient
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern
from rich.console import Console
from rich.table import Table

from bench.replica_set import ReplicaSet
from bench.writers import KINDS, Finding, Write, Writers, create, found, stored, tenant_of, update
from fhir_server.store.connection import Store, opened
from fhir_server.store.database import Client, Database, database

RESULTS = Path(__file__).parent / "results/faults.json"
PLAIN: tuple[Write, ...] = (create, update)
"""Writes that are no transactions: those are always by majority."""

BEHIND = 0.2
WRITERS = 8
MOSTLY_CREATES: tuple[Write, ...] = (*(create for _ in range(12)), *KINDS)
"""What writers of the big run do in turn: most writes are no transactions."""


def durable(members: ReplicaSet, name: str) -> Any:
    """The store as the server opens it."""
    return opened(mongo_url=members.url, database=name)


@asynccontextmanager
async def careless(members: ReplicaSet, name: str) -> AsyncIterator[Store]:
    """The store with writes that only the primary has confirmed: the control."""

    def relaxed(client: Client, name: str) -> Database:
        made, once = database(client, name), WriteConcern(1, j=False)
        return replace(
            made,
            resources=made.resources.with_options(write_concern=once),
            history=made.history.with_options(write_concern=once),
        )

    async with AsyncMongoClient[dict[str, Any]](members.url, serverSelectionTimeoutMS=2_000) as client:
        store = Store(client, name, relaxed)
        await store.prepare()
        yield store


async def present(members: ReplicaSet, name: str) -> Counter[str]:
    """What a majority has, once all members are there again."""
    await asyncio.to_thread(members.caught_up)
    async with AsyncMongoClient[dict[str, Any]](members.url) as client:
        read = client.get_database(name, read_concern=ReadConcern("majority"))
        return await stored([read.resources, read.history])


async def killed(members: ReplicaSet, behind: float = 0.0) -> None:
    """The primary dies, another one is elected, and the dead one comes back.

    On one machine the others have everything within a millisecond; `behind` makes them lag for so many seconds before,
    as over a network.
    """
    primary = await asyncio.to_thread(members.primary)
    with members.lagging() if behind else nullcontext():
        await asyncio.sleep(behind)
        primary.kill()
    await asyncio.to_thread(members.primary)
    primary.start()
    await asyncio.to_thread(members.caught_up)


async def paused(members: ReplicaSet, seconds: float) -> None:
    """The primary stands still, another one is elected, and the old one goes on as if nothing had been."""
    primary = await asyncio.to_thread(members.primary)
    primary.signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    primary.signal(signal.SIGCONT)
    await asyncio.to_thread(members.caught_up)


async def kills(
    members: ReplicaSet,
    name: str,
    count: int,
    each: int,
    *,
    lag: int = 5,
    writing: int = WRITERS,
    make: Any = durable,
    kinds: tuple[Write, ...] = tuple(KINDS),
) -> Finding:
    """So many kills, with on average so many acknowledged writes between them; before some of them the others lag."""
    async with make(members, name) as store:
        async with Writers(await tenant_of(store), kinds, writing) as writers:
            for number in range(count):
                await writers.reached(each * (number + 1))
                await killed(members, BEHIND if number % lag == lag - 1 else 0.0)
                _tell(f"{name}: kill {number + 1} of {count}, {len(writers.account.acknowledged):,} acknowledged")
            await writers.reached(each * (count + 1))
        return found(writers.account, await present(members, name))


async def pauses(members: ReplicaSet, name: str, count: int, seconds: float) -> Finding:
    async with durable(members, name) as store:
        async with Writers(await tenant_of(store)) as writers:
            for number in range(count):
                await writers.more(50)
                await paused(members, seconds)
                _tell(f"{name}: pause {number + 1} of {count}, {len(writers.account.acknowledged):,} acknowledged")
            await writers.more(50)
        return found(writers.account, await present(members, name))


def _tell(line: str) -> None:
    Console(stderr=True).print(f"{time.strftime('%H:%M:%S')} {line}", highlight=False)


async def measured(members: ReplicaSet, chosen: argparse.Namespace) -> dict[str, Finding]:
    each = -(-chosen.writes // (chosen.kills + 1))
    many = chosen.writers
    return {
        f"{chosen.kills} kills of the primary": await kills(
            members, "durable", chosen.kills, each, writing=many, kinds=MOSTLY_CREATES
        ),
        f"{chosen.pauses} pauses of the primary, {chosen.pause:g} s each": await pauses(
            members, "paused", chosen.pauses, chosen.pause
        ),
        f"control: {chosen.control} kills with write concern 1": await kills(
            members, "careless", chosen.control, each, lag=2, writing=many, make=careless, kinds=PLAIN
        ),
    }


def shown(findings: dict[str, Finding]) -> Table:
    table = Table("writes", *findings, title="faults")
    for each in fields(Finding):
        values = [getattr(finding, each.name) for finding in findings.values()]
        table.add_row(
            each.name.replace("_", " "),
            *(f"{value:,.4g}" if each.name == "slowest" else f"{value:,}" for value in values),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--writes", type=int, default=100_000, help="acknowledged at least, of the kills")
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--pauses", type=int, default=3)
    parser.add_argument("--pause", type=float, default=15.0, help="seconds")
    parser.add_argument("--control", type=int, default=10, help="kills with write concern 1")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fhir-faults-") as directory:
        members = ReplicaSet(Path(directory))
        try:
            members.start()
            findings = asyncio.run(measured(members, chosen))
        finally:
            members.stop()
    _tell(f"members that hung while they took back what no majority had, and were started again: {members.stuck}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(findings)))
    Console().print(shown(findings))
    *ours, control = findings.values()
    if any(each.lost or each.duplicated or each.torn or each.refused_stored for each in ours) or not control.lost:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
