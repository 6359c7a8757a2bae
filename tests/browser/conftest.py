"""A real browser, a server as a process, and an application that is served from an origin of its own.

What a page looks like at 360 and at 1280 pixels is kept in `.cache/screenshots`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench.processes import free_port
from fhir_server.auth import totp
from tests.cli.test_serve import wait_until_ready
from tests.conftest import ROOT

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

APP = ROOT / "docs/growth-chart"
LIBRARY = ROOT / ".cache/fhirclient/package/build/fhir-client.min.js"
SCREENSHOTS = ROOT / ".cache/screenshots"
NARROW, WIDE = 360, 1280
FETCHED = ROOT / ".cache/debian/root/usr/lib"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium", path=FETCHED / "chromium")
LIBRARIES = f"{FETCHED}/x86_64-linux-gnu:{FETCHED}/x86_64-linux-gnu/pulseaudio"
TENANT = "riverside"
NAMES = (("Marta", "Lopez"), ("Wei", "Chan"), ("Ann", "Lee"))
PATIENCE = 20_000
"""Milliseconds until something that does not appear is missing."""
PASSWORD = "seven herons over a quiet mill pond"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("There is no Chromium: `make browser` fetches it from Debian.")
    environment = {**os.environ, "LD_LIBRARY_PATH": LIBRARIES} if CHROMIUM.startswith(str(ROOT)) else None
    with playwright.sync_playwright() as running:
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox", "--disable-gpu"], "env": environment}
        started = running.chromium.launch(**options)
        yield started
        started.close()


@dataclass
class Served:
    """A server, and the commands that find its data."""

    port: int
    environment: dict[str, str]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def fhir(self) -> str:
        return f"{self.base}/fhir/{TENANT}"

    def command(self, *words: str) -> dict[str, Any]:
        """Runs `fhir-server …` and reads what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "fhir_server.cli", *words, "--json"],
            env=self.environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, mongo_url: str, database_name: str) -> Iterator[Served]:
    port = free_port()
    environment = {**os.environ, "FHIR_MONGO_URL": mongo_url, "FHIR_DATABASE": database_name}
    environment["FHIR_BASE_URL"] = f"http://127.0.0.1:{port}"
    environment["PYTHONPATH"] = str(ROOT)
    found = Served(port, environment)
    found.command("tenant", "create", TENANT)
    chart = tmp_path_factory.mktemp("chart") / "chart.json"
    chart.write_text(json.dumps(_chart()))
    found.command("load", "--tenant", TENANT, str(chart))
    command = [sys.executable, "-m", "fhir_server.cli", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        try:
            wait_until_ready(process, port)
            yield found
        finally:
            process.kill()
            process.communicate()


def _chart() -> dict[str, Any]:
    """Two patients, of whom one has two observations and a condition."""
    patient = {"reference": "Patient/p1"}
    weight = {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]}
    marta, wei, ann = ([{"family": family, "given": [given]}] for given, family in NAMES)
    resources: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": "p1", "name": marta, "birthDate": "1980-03-01"},
        {"resourceType": "Patient", "id": "p2", "name": wei, "birthDate": "1999-12-31"},
        {"resourceType": "Practitioner", "id": "dr", "name": ann},
        *(
            {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": weight, "subject": patient}
            for number in (1, 2)
        ),
        {"resourceType": "Condition", "id": "c1", "code": {"text": "Asthma"}, "subject": patient},
    ]  # fmt: skip
    entries = [
        {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
        for each in resources
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


class _Pages(SimpleHTTPRequestHandler):
    """The pages of the application, and the library that they load."""

    def translate_path(self, path: str) -> str:
        return str(LIBRARY) if path.endswith(f"/{LIBRARY.name}") else super().translate_path(path)

    def log_message(self, *_: Any) -> None:
        """Pages that were asked for are no news."""


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    """The origin of the application."""
    if not LIBRARY.exists():
        pytest.skip("There is no fhirclient: `make browser` fetches it.")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(APP)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@dataclass
class Person:
    """Somebody at the browser: what they were given, and what they have on their device."""

    username: str
    password: str
    secret: str = ""
    steps: list[int] = field(default_factory=list)
    recovery: list[str] = field(default_factory=list)

    def code(self) -> str:
        """The next code that was not used yet; a device may be half a minute ahead."""
        step = int(time.time()) // totp.STEP
        while step in self.steps:
            step += 1
        self.steps.append(step)
        return totp.code(base64.b32decode(self.secret.replace(" ", "")), step)


@pytest.fixture(scope="module")
def ann(served: Served) -> Person:
    words = ("--tenant", TENANT, "--name", "Ann Lee", "--role", "physician", "--fhir-user", "Practitioner/dr")
    return Person("ann", served.command("user", "add", "ann", *words)["password"])


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    """One window of one person: who is signed in stays so from one launch to the next."""
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    yield opened
    context.close()


def seen(page: Any, name: str) -> None:
    """Looks at the page, narrow and wide: nothing may be cut off, and every field has a label."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for width in (NARROW, WIDE):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width} pixels"
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png", full_page=True)
    fields = "[...document.querySelectorAll('input:not([type=hidden]):not([hidden])')]"
    assert page.evaluate(f"{fields}.every(each => each.labels.length)")
