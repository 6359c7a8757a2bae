"""The tour of the README, as a reader pastes it: every command ends well and every answer is the one it promises."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parent.parent
PATIENCE = 60
ANSWER = re.compile(r"^\{(?:[^\n]+|\n.*?\n)\}$", re.MULTILINE | re.DOTALL)
"""JSON on a line of its own, or indented."""
ANSWERS = [
    "Patient",
    "Bundle",
    "Bundle",
    "Bundle",
    "Bundle",
    "ValueSet",
    "Organization",
    "Organization",
    "OperationOutcome",
    "OperationOutcome",
    "Organization",
    "Bundle",
    "OperationOutcome",
    "OperationOutcome",
    "Bundle",
    "Bundle",
]
"""What `fhir …` answers, in the order of the tour."""


def commands() -> str:
    """The blocks of the tour that are the same with and without the demo."""
    tour = (ROOT / "README.md").read_text().split("\n## A five-minute tour\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```bash\n(.*?)```", tour, re.DOTALL))


@pytest.fixture
def server(tmp_path: Path, mongo_url: str, database_name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """A server on a free port, and the environment in which commands find its data."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    program = tmp_path / "bin" / "fhir-server"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fhir_server.cli "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "FHIR_MONGO_URL": mongo_url,
        "FHIR_DATABASE": database_name,
    }
    with (tmp_path / "log.txt").open("w") as log:
        running = subprocess.Popen([str(program), "serve", "--port", str(port)], env=environment, stderr=log)
        try:
            _wait(port)
            yield port, environment
        finally:
            running.terminate()
            running.wait(PATIENCE)


def _wait(port: int) -> None:
    deadline = monotonic() + PATIENCE
    while monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except (URLError, ConnectionError):
            sleep(0.1)
    raise TimeoutError("the server did not answer")


@pytest.mark.slow
def test_every_command_works(server: tuple[int, dict[str, str]], tmp_path: Path) -> None:
    port, environment = server
    script = "set -euo pipefail\n" + commands().replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(each) for each in ANSWER.findall(done.stdout)]
    assert [each["resourceType"] for each in answers] == ANSWERS
    assert all(each["entry"] for each in answers if each["resourceType"] == "Bundle")
    assert len(answers[-4]["issue"]) == 3
    assert "71.50" in done.stdout
