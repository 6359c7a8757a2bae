"""`python -m bench.logins`: what reads notice of many who try passwords at the same time.

Each of the guessers signs in from an address of its own, with names that nobody tried before, so that none is sent
away unheard: every try costs a hash. RFC 9106 says what such a hash costs on purpose.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import httpx

from bench import processes
from bench.client import Load, get

TENANT = "logins"
GUESSERS = 64
TRIES = 20
"""Of one address: more in a row would be answered without looking at the password."""
MOST = 2.0
"""How much longer the slowest read of a hundred may take."""
TOKEN = re.compile(r'name="token" value="([^"]+)"')


async def _guess(port: int, number: int, tried: Synchronized[int]) -> None:
    """One guesser, who moves on to another address before the door is closed."""
    for place in count():
        address = f"127.{1 + number}.{place // 250}.{1 + place % 250}"
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for each in range(TRIES):
                page = await client.get(f"/auth/{TENANT}/sign-in")
                token = TOKEN.search(page.text)
                assert token is not None, page.text
                guess = {"username": f"u{number}-{place}-{each}", "password": "wrong horse", "token": token[1]}
                await client.post(f"/auth/{TENANT}/sign-in", data=guess)
                with tried.get_lock():
                    tried.value += 1


async def _guess_all(port: int, tried: Synchronized[int]) -> None:
    await asyncio.gather(*(_guess(port, number, tried) for number in range(GUESSERS)))


def _flood(port: int, tried: Synchronized[int]) -> None:
    """Behind everything else on this machine: those who guess have machines of their own."""
    os.nice(19)
    asyncio.run(_guess_all(port, tried))


@contextmanager
def flooded(port: int) -> Iterator[Synchronized[int]]:
    """Guessers at work; how often they have tried."""
    tried: Synchronized[int] = multiprocessing.Value("i", 0)
    process = multiprocessing.Process(target=_flood, args=(port, tried), daemon=True)
    process.start()
    try:
        yield tried
    finally:
        process.terminate()
        process.join()


def measured(port: int, request: bytes, seconds: float, rounds: int) -> tuple[list[Load], list[Load], float]:
    """Reads alone and during the flood, in turns; tries a second."""
    alone, beside, tries = [], [], 0
    for _ in range(rounds):
        alone.append(processes.load(port, [request], seconds=seconds, connections=1))
        with flooded(port) as tried:
            while not tried.value:
                time.sleep(0.01)
            before = tried.value
            beside.append(processes.load(port, [request], seconds=seconds, connections=1))
            tries += tried.value - before
    return alone, beside, tries / (seconds * rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.logins", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fhir-logins-") as place, processes.database(Path(place)) as mongo_url:
        processes.command("tenant", "create", TENANT, "--mongo-url", mongo_url)
        patient = Path(place) / "patient.json"
        patient.write_text('{"resourceType": "Patient", "id": "p1"}')
        processes.command("load", "--tenant", TENANT, str(patient), "--mongo-url", mongo_url)
        minted = processes.command("token", "--tenant", TENANT, "--scope", "system/*.rs", "--mongo-url", mongo_url)
        port = processes.free_port()
        with processes.server(mongo_url, port):
            request = get(f"/fhir/{TENANT}/Patient/p1", minted["token"])
            alone, beside, tries = measured(port, request, asked.seconds, asked.rounds)
    calm, busy = (statistics.median(each.p99 for each in loads) for loads in (alone, beside))
    failures = sum(each.failures for each in beside)
    print(
        f"{GUESSERS} guessers: {tries:.0f} tries a second; p99 of reads {calm:.2f} ms alone, {busy:.2f} ms beside them"
    )
    print(f"ratio {busy / calm:.2f} (at most {MOST}), {failures} reads failed")
    raise SystemExit(0 if busy <= MOST * calm and not failures else 1)


if __name__ == "__main__":
    main()
