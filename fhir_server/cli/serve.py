"""`fhir-server serve`: the server, with its own MongoDB or with one that is named."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from enum import StrEnum
from types import FrameType
from typing import Annotated, Any

import typer
from anyio.from_thread import start_blocking_portal

from fhir_server.cli.common import DataDir, Memory, MongoUrl, errors, explained, fail, settings
from fhir_server.rest import log
from fhir_server.settings import METRICS_DIRECTORY, Settings
from fhir_server.store import mongod
from fhir_server.store.connection import opened

app = typer.Typer(add_completion=False)

GRACE_SECONDS = 10
"""How long requests in flight may take after Ctrl-C."""


class Server(StrEnum):
    UVICORN = "uvicorn"
    GRANIAN = "granian"


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]", envvar="FHIR_HOST")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [default: 8080]", envvar="FHIR_PORT")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Public URL, when clients see another than ours.", envvar="FHIR_BASE_URL")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes that answer requests.")] = 1,
    server: Annotated[Server, typer.Option(help="The ASGI server.")] = Server.UVICORN,
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", "-t", help="Create this tenant if it does not exist; repeatable.")
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no tokens and record nothing; loopback addresses only.")
    ] = False,
    no_audit: Annotated[
        bool,
        typer.Option("--no-audit", help="Record nothing, as with --no-auth and --memory; loopback addresses only."),
    ] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    memory: Memory = False,
) -> None:
    """Run the server until Ctrl-C.

    With neither --mongo-url nor --memory it starts its own MongoDB in --data-dir; what is stored there stays.

    [bold]Examples[/]

      fhir-server serve
      fhir-server serve --port 9000 --workers 4 --mongo-url 'mongodb://db1,db2,db3/?replicaSet=rs0'
      fhir-server serve --memory --no-auth --tenant scratch
    """
    chosen = settings(
        host=host,
        port=port,
        base_url=base_url,
        tenants=tenant,
        no_auth=no_auth,
        audit="false" if no_audit else None,
        mongo_url=mongo_url,
        data_dir=data_dir,
        memory=memory,
    )
    run_until_stopped(chosen, server, workers)


def run_until_stopped(chosen: Settings, server: Server = Server.UVICORN, workers: int = 1) -> None:
    """Serves, with the MongoDB that the settings name or one that is started here, until Ctrl-C or SIGTERM."""
    log.configure(chosen.log_level)
    with explained(), _terminable(), _database(chosen) as connected:
        alone = server is Server.UVICORN and workers == 1
        if connected.memory:
            _warn_of_memory(connected, alone)
        errors.print(f"FHIR R4 at [bold]{chosen.public_url}/fhir/{{tenant}}[/], Ctrl-C stops it.", highlight=False)
        if alone:
            _in_this_process(connected)
        else:
            _in_workers(connected, _SERVERS[server], workers)


def _warn_of_memory(chosen: Settings, alone: bool) -> None:
    if not alone:
        fail("What is kept in memory is in one process: that goes with one uvicorn worker only.", code=2)
    errors.print("[yellow]Everything is kept in memory and lost at the end.[/]")
    if not chosen.no_auth:
        errors.print("[yellow]No other command reaches this memory, so none can mint a token for it: add --no-auth.[/]")


@contextmanager
def _database(chosen: Settings) -> Iterator[Settings]:
    """The settings with the address of the MongoDB, which a thread of this process keeps up as long as it is needed."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_located(chosen)) as url:
        yield chosen.model_copy(update={"mongo_url": url, "memory": url is None, "audit_anchor": chosen.anchor})


@asynccontextmanager
async def _located(chosen: Settings) -> AsyncIterator[str | None]:
    """The address of the MongoDB to use; none where everything is kept in memory."""
    async with AsyncExitStack() as stack:
        url = chosen.mongo_url
        binary = None if url or chosen.memory else mongod.find(chosen.mongod)
        if binary is not None:
            url = await stack.enter_async_context(mongod.running(chosen.data_dir.expanduser(), binary))
        if url is not None:
            # Whatever is wrong with it is said once, here, and not by each worker.
            async with opened(mongo_url=url, database=chosen.database):
                pass
        yield url


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds the stack like Ctrl-C does, so that everything that was started is stopped."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(0) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _in_this_process(chosen: Settings) -> None:
    import uvicorn

    from fhir_server.app import build

    config = uvicorn.Config(build(chosen), host=chosen.host, port=chosen.port, **_UVICORN)
    uvicorn.Server(config).run()


_UVICORN: dict[str, Any] = {
    "http": "httptools",  # refuses a request whose length is said in two ways, which h11 takes
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "timeout_graceful_shutdown": GRACE_SECONDS,
}


def _in_workers(chosen: Settings, serve_with: Callable[[Settings, int], None], workers: int) -> None:
    """Each worker reads its settings from the environment; all of them count into one directory of metrics."""
    os.environ.update(_environment(chosen))
    with tempfile.TemporaryDirectory(prefix="fhir-metrics-") as counts:
        os.environ[METRICS_DIRECTORY] = counts
        serve_with(chosen, workers)


def _environment(chosen: Settings) -> dict[str, str]:
    given = chosen.model_dump(mode="json", exclude_none=True)
    return {
        f"FHIR_{name.upper()}": value if isinstance(value, str) else json.dumps(value) for name, value in given.items()
    }


_APPLICATION = "fhir_server.app:from_environment"


def _with_uvicorn(chosen: Settings, workers: int) -> None:
    import uvicorn

    uvicorn.run(_APPLICATION, factory=True, host=chosen.host, port=chosen.port, workers=workers, **_UVICORN)


def _with_granian(chosen: Settings, workers: int) -> None:
    try:
        from granian import Granian
        from granian.constants import Interfaces
    except ImportError:
        fail("granian is not installed: pip install 'fhir-server[granian]'.", code=2)
    Granian(
        _APPLICATION,
        factory=True,
        address=chosen.host,
        port=chosen.port,
        workers=workers,
        interface=Interfaces.ASGI,
        websockets=False,
        log_enabled=False,
        workers_kill_timeout=GRACE_SECONDS,
    ).serve()


_SERVERS: dict[Server, Callable[[Settings, int], None]] = {
    Server.UVICORN: _with_uvicorn,
    Server.GRANIAN: _with_granian,
}
