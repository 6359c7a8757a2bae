"""`fhir-server demo` as a visitor meets it: what it prints works when it is pasted, and Ctrl-C ends it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from bench.processes import free_port
from fhir_server.cli.demo import PRACTICES
from seed.systems import SYSTEMS

READY = "Ctrl-C stops it."
PATIENCE = 60


def test_there_is_a_tenant_of_each_system() -> None:
    assert {practice.system for practice in PRACTICES} == SYSTEMS.keys()


@pytest.mark.slow
def test_the_curl_lines_work_and_a_second_run_finds_the_data(
    tmp_path: Path, mongo_url: str, database_name: str
) -> None:
    for expected in (" 0 unchanged", " 0 resources written"):
        told = tmp_path / "told.txt"
        with told.open("w") as output, (tmp_path / "log.txt").open("w") as log:
            command = [sys.executable, "-m", "fhir_server.cli", "demo", "--mongo-url", mongo_url]
            command += [
                "--port",
                str(free_port()),
                "--dir",
                str(tmp_path / "demo"),
                "--database",
                database_name,
            ]
            demo = subprocess.Popen(command, stdout=output, stderr=log)
            try:
                wait_for(told, demo)
                curl_lines(told.read_text())
            finally:
                demo.send_signal(signal.SIGINT)
                assert demo.wait(PATIENCE) == 0
        assert told.read_text().count(expected) == len(PRACTICES)


def wait_for(told: Path, demo: "subprocess.Popen[bytes]") -> None:
    deadline = monotonic() + PATIENCE
    while READY not in told.read_text():
        assert demo.poll() is None, "the demo ended by itself"
        assert monotonic() < deadline
        sleep(0.1)


def curl_lines(told: str) -> None:
    lines = [line for line in told.splitlines() if line.startswith("curl ")]
    answers = [json.loads(subprocess.run(line, shell=True, capture_output=True, check=True).stdout) for line in lines]
    assert [each["resourceType"] for each in answers] == ["CapabilityStatement", "Bundle", "Patient", *["Bundle"] * 4]
    assert all(each["entry"] for each in answers if each["resourceType"] == "Bundle")
    assert all(f"/fhir/{practice.name}/" in told for practice in PRACTICES)
