"""What the commands share: where the store is, how results are printed, how failures end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
import typer
from pydantic import ValidationError
from rich.console import Console

from fhir_server.fhir.outcome import FhirError, error
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.connection import Store
from fhir_server.store.errors import StoreError
from fhir_server.store.tenants import Tenant

T = TypeVar("T")

STORE = "Where the data is (the same for all commands)"

MongoUrl = Annotated[
    str | None,
    typer.Option("--mongo-url", help="MongoDB to use, a replica set.", envvar="FHIR_MONGO_URL", rich_help_panel=STORE),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Directory of the server's own MongoDB. [default: ~/.local/share/fhir-server]",
        envvar="FHIR_DATA_DIR",
        rich_help_panel=STORE,
        file_okay=False,
    ),
]
Memory = Annotated[
    bool, typer.Option("--memory", help="Keep everything in memory and nothing afterwards.", rich_help_panel=STORE)
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
TenantName = Annotated[str, typer.Option("--tenant", "-t", help="Name of the tenant.")]

console = Console()
errors = Console(stderr=True)


def settings(**given: Any) -> Settings:
    """The settings of the environment under those of the command line."""
    try:
        return Settings(**{name: value for name, value in given.items() if value not in (None, False)})
    except ValidationError as problem:
        fail("; ".join(str(each["msg"]).removeprefix("Value error, ") for each in problem.errors()), code=2)


async def tenant_of(found: Store, name: str) -> Tenant:
    """The tenant, in whatever state it is."""
    tenant = await found.tenants.get(name)
    if tenant is None:
        raise error("not-found", f"There is no tenant '{name}'; 'fhir-server tenant list' shows those there are.")
    return tenant


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of asynchronous work; what the operator can put right is one sentence and exit code 1."""
    with explained():
        return asyncio.run(work)


def in_store(chosen: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """The result of asynchronous work on the store that the settings name."""

    async def opened() -> T:
        async with store_of(chosen) as found:
            return await work(found)

    return run(opened())


@contextmanager
def explained() -> Iterator[None]:
    try:
        yield
    except (FhirError, StoreError) as problem:
        fail(str(problem))
    except KeyboardInterrupt:
        fail("Interrupted.", code=130)


def show(result: Any, as_json: bool, human: Callable[[], Any]) -> None:
    """The result for a program, or `human()` for a person."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        result = human()
        # A line stays one line, so that it can be copied or piped.
        console.print(result, soft_wrap=isinstance(result, str))


def fail(message: str, *, code: int = 1) -> NoReturn:
    errors.print(f"[bold red]Error[/]: {message}", highlight=False)
    raise typer.Exit(code)
