"""A load generator: a fixed number of keep-alive connections, each sending its next request after the last answer."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle


@dataclass(frozen=True, slots=True)
class Load:
    """Requests per second, and latencies in milliseconds."""

    rate: float
    p50: float
    p95: float
    p99: float
    failures: int


class Connection(asyncio.Protocol):
    """One keep-alive connection; reads the status line and skips the body by its Content-Length."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float], deadline: float) -> None:
        self.requests = requests
        self.latencies = latencies
        self.deadline = deadline
        self.failures = 0
        self.buffer = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(next(self.requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, _ = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        if len(self.buffer) < len(head) + 4 + length:
            return
        self.failures += head[9:10] != b"2"
        self.buffer.clear()
        now = time.perf_counter()
        self.latencies.append((now - self.sent) * 1000)
        if now < self.deadline:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def run(port: int, requests: list[bytes], *, connections: int, seconds: float) -> Load:
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    shared = cycle(requests)
    made = [
        await loop.create_connection(lambda: Connection(shared, latencies, started + seconds), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    elapsed = time.perf_counter() - started
    ordered = sorted(latencies)
    failures = sum(protocol.failures for _, protocol in made)
    p50, p95, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.50, 0.95, 0.99))
    return Load(len(ordered) / elapsed, p50, p95, p99, failures)


async def send_all(port: int, requests: list[bytes], *, connections: int) -> int:
    """Send every request once over a few lanes; the number of failures."""
    left = iter(requests)
    failures = 0

    async def lane() -> None:
        nonlocal failures
        for each in left:
            failures += (await _once(port, each)).failures

    await asyncio.gather(*(lane() for _ in range(connections)))
    return failures


async def _once(port: int, request: bytes) -> Connection:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(lambda: Connection(iter([request]), [], 0), "127.0.0.1", port)
    await protocol.done
    return protocol


def get(path: str, token: str | None = None) -> bytes:
    return _request("GET", path, token)


def post(path: str, body: bytes, token: str | None = None) -> bytes:
    return _request("POST", path, token, body)


def _request(method: str, path: str, token: str | None, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/fhir+json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/fhir+json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def main() -> None:
    """Read a plan as JSON from standard input, answer the figures as JSON: the load runs in a process of its own."""
    import uvloop

    plan = json.load(sys.stdin)
    requests = [each.encode() for each in plan["requests"]]
    load = uvloop.run(run(plan["port"], requests, connections=plan["connections"], seconds=plan["seconds"]))
    json.dump({name: getattr(load, name) for name in Load.__slots__}, sys.stdout)


if __name__ == "__main__":
    main()
