"""A server process with an embedded `mongod`, to be killed: started, asked over HTTP, looked up in `/proc`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.processes import free_port

TENANT = "durable"
CLI = [sys.executable, "-m", "fhir_server.cli"]
DYING = [sys.executable, "-m", "tests.durability.dying"]


class Server:
    """One data directory and the processes on it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""

    def start(self, program: list[str] = CLI) -> None:
        if not self.token:
            self.command("tenant", "create", TENANT)
            self.token = self.command("token", "--tenant", TENANT, "--scope", "system/*.cruds")["token"]
        command = [*program, "serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.await_ready()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def kill(self) -> None:
        """The server itself, without warning; its `mongod` has to follow by itself."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_mongod(self) -> None:
        for pid in self.mongods():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def mongods(self) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = entry.read_bytes().decode(errors="replace").split("\0")
                if "mongod" in words[0] and any(word.startswith(str(self.data_dir)) for word in words):
                    found.append(int(entry.parent.name))
        return found

    def command(self, *words: str) -> Any:
        """A command of the server on the same data directory, its answer as JSON."""
        done = subprocess.run(
            [*CLI, *words, "--data-dir", str(self.data_dir), "--json"], capture_output=True, check=True
        )
        return json.loads(done.stdout)

    def ask(
        self, method: str, path: str, body: Any = None, *, seconds: float = 60, key: str | None = None
    ) -> tuple[int, Any]:
        """Status and body; status 0 where the connection broke before an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json"}
        headers |= {"X-Idempotency-Key": key} if key else {}
        try:
            connection.request(method, f"/fhir/{TENANT}/{path}", None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content else None
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def await_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process is None or self.process.poll() is None, "the server ended"
            # A search that asks the database, but costs the same however much is stored.
            if self.ask("GET", "Basic?_id=none", seconds=5)[0] == 200:
                return
            time.sleep(0.1)
        raise TimeoutError(f"no answer within {seconds} s")

    def count(self, criteria: str) -> int:
        status, bundle = self.ask("GET", f"Basic?{criteria}&_summary=count")
        assert status == 200, bundle
        return int(bundle["total"])
