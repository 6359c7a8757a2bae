"""`fhir-server serve` as a process: started, asked, stopped, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.processes import free_port
from fhir_server.cli.serve import _environment
from fhir_server.settings import Settings

COMMAND = [sys.executable, "-m", "fhir_server.cli"]


@contextlib.contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    process = subprocess.Popen([*COMMAND, "serve", "--port", str(port), *words], stderr=subprocess.PIPE)
    try:
        wait_until_ready(process, port)
        yield process, port
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        with contextlib.suppress(OSError):
            if status(port, "/health/ready") == 200:
                return
        time.sleep(0.05)
    raise TimeoutError


def status(port: int, path: str, *, body: bytes | None = None) -> int:
    headers = {"Content-Type": "application/fhir+json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as problem:
        problem.close()
        return problem.code


def processes_of(directory: Path) -> list[str]:
    """Programs that were started on a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().split(b"\0")
            if any(word.startswith(os.fsencode(directory)) for word in words) and b"mongod" in words[0]:
                found.append(entry.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, ()),
        (signal.SIGTERM, ()),
        (signal.SIGINT, ("--workers", "2")),
        (signal.SIGTERM, ("--server", "granian", "--workers", "2")),
    ],
    ids=str,
)
def test_data_stays_and_no_process_does(tmp_path: Path, number: signal.Signals, words: tuple[str, ...]) -> None:
    options = ("--data-dir", str(tmp_path), "--no-auth", "--tenant", "kept", *words)
    for expected in (201, 200):
        with serving(*options) as (process, port):
            resource = (
                b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"PUT","url":"Patient/p"},'
            )
            resource += b'"resource":{"resourceType":"Patient","id":"p"}}]}'
            assert status(port, "/fhir/kept/Patient/p") == (404 if expected == 201 else 200)
            assert status(port, "/fhir/kept", body=resource) == 200
            assert status(port, "/metrics") == 200
            process.send_signal(number)
            assert process.wait(30) == 0
        assert processes_of(tmp_path) == []


def test_in_memory_everything_works_and_nothing_stays() -> None:
    with serving("--memory", "--no-auth", "--tenant", "scratch") as (process, port):
        assert status(port, "/fhir/scratch/Patient", body=b'{"resourceType":"Patient"}') == 201
        assert status(port, "/fhir/elsewhere/Patient") == 404
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def exchange(port: int, raw: bytes) -> bytes:
    """The answer to raw bytes; a server that closes has said everything."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(raw)
        found = b""
        with contextlib.suppress(TimeoutError):
            while not found.endswith(b"}") and (chunk := connection.recv(65_536)):
                found += chunk
        return found


START = b"POST /fhir/scratch/Patient HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\n"
AMBIGUOUS = {
    "two ways to end": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a list of lengths": b"Content-Length: 5, 5\r\n\r\nabcde",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a bare CR": b"X-A: a\rX-B: b\r\n\r\n",
    "a NUL": b"X-A: a\0b\r\n\r\n",
}


def test_what_two_servers_could_read_differently_is_refused() -> None:
    with serving("--memory", "--no-auth", "--tenant", "scratch") as (_, port):
        for title, rest in AMBIGUOUS.items():
            answer = exchange(port, START + rest)
            assert answer.startswith(b"HTTP/1.1 400 "), title
            assert answer.count(b"HTTP/1.1 ") == 1, title
            assert b"connection: close" in answer.lower(), title
        announced = exchange(port, START + b"Content-Length: 104857600\r\n\r\n{")
        assert announced.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in announced.lower()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--no-auth", "--host", "0.0.0.0"), "refuses the host '0.0.0.0'"),
        (("--memory", "--workers", "2"), "one uvicorn worker only"),
        (("--mongo-url", "mongodb://127.0.0.1:1/"), "does not answer"),
        (("--mongo-url", "mongodb://"), "cannot be used"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(words: tuple[str, ...], reason: str) -> None:
    done = subprocess.run([*COMMAND, "serve", "--port", str(free_port()), *words], capture_output=True, timeout=60)
    assert done.returncode != 0
    assert reason in " ".join(done.stderr.decode().split())
    assert b"Traceback" not in done.stderr


def test_workers_find_the_settings_in_their_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Settings(tenants={"a", "b"}, mongo_url="mongodb://x", gzip_level=3, cors_origins={"https://a.example"})
    for name, value in _environment(chosen).items():
        monkeypatch.setenv(name, value)
    assert Settings() == chosen
    assert json.loads(_environment(chosen)["FHIR_GZIP_LEVEL"]) == 3
