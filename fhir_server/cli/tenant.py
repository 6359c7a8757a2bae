"""`fhir-server tenant …`: the tenants of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from rich.table import Table

from fhir_server.cli import masking
from fhir_server.cli.common import DataDir, Json, MongoUrl, console, fail, run, settings, show
from fhir_server.cli.recording import recorded
from fhir_server.fhir.outcome import bad_value, conflict
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.tenants import SETTINGS, Tenant

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Create, list, clone, suspend, resume and erase tenants."
)

Name = Annotated[str, typer.Argument(help="Lower-case letters, digits and '-': it is part of every URL of the tenant.")]


@app.command()
def create(
    name: Name,
    title: Annotated[str, typer.Option(help="What people call it.")] = "",
    database: Annotated[str | None, typer.Option(help="A database of its own, instead of the common one.")] = None,
    native: Annotated[bool, typer.Option(help="Keep resources as BSON too, for MongoDB's own tools.")] = True,
    encrypted: Annotated[
        bool | None, typer.Option("--encrypted/--plain", help="Store it sealed. [default: if FHIR_KEK is set]")
    ] = None,
    sensitive: Annotated[
        Path | None,
        typer.Option(help="YAML: which search parameters are blinded then, for good.", exists=True, dir_okay=False),
    ] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Create a tenant: its own data, its own keys, its own FHIR base.

    [bold]Example[/]

      fhir-server tenant create riverside --title 'Riverside Family Practice'
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> Tenant:
        async with store_of(chosen) as found:
            kept: Literal["full", "off"] = "full" if native else "off"
            async with recorded(found, name, "tenant", "created"):
                return await found.tenants.create(
                    name,
                    title=title or name,
                    database=database,
                    native=kept,
                    encrypted=encrypted,
                    sensitive=_policy(sensitive) if sensitive else None,
                )

    tenant = run(work())
    show(_described(tenant), as_json, lambda: f"Tenant [bold]{tenant.name}[/] is at {_base(chosen, tenant)}")


@app.command("list")
def list_(mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the tenants."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> list[Tenant]:
        async with store_of(chosen) as found:
            return await found.tenants.list()

    tenants = run(work())
    show([_described(each) for each in tenants], as_json, lambda: _table(tenants))


@app.command("show")
def show_(name: Name, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show one tenant."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> Tenant:
        async with store_of(chosen) as found:
            return await found.tenants.locked(name)

    tenant = run(work())
    show(_described(tenant), as_json, lambda: _table([tenant]))


@app.command()
def suspend(name: Name, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Refuse every request to a tenant, within a second, until it is resumed; nothing is lost."""
    _set_status(name, "suspended", settings(mongo_url=mongo_url, data_dir=data_dir), as_json)


@app.command()
def resume(name: Name, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Serve a suspended tenant again."""
    _set_status(name, "active", settings(mongo_url=mongo_url, data_dir=data_dir), as_json)


@app.command("set")
def set_(
    name: Name,
    values: Annotated[list[str], typer.Argument(help="What to set, each as NAME=VALUE.")],
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Set how a tenant works; every process knows within a second.

    [bold]Example[/]

      fhir-server tenant set riverside conditional_delete=multiple versioning=versioned-update
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    wanted = {setting: value for setting, _, value in (each.partition("=") for each in values)}

    async def work() -> Tenant:
        async with store_of(chosen) as found, recorded(found, name, "tenant", "settings", **wanted):
            return await found.tenants.configure(name, wanted)

    tenant = run(work())
    said = ", ".join(f"{setting}={tenant.setting(setting)}" for setting in wanted)
    show(_described(tenant), as_json, lambda: f"Tenant [bold]{tenant.name}[/] has {said}")


@app.command()
def erase(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Erase a tenant with all its resources, history, mappings and keys. There is no way back.

    Refused while anything of it is under a legal hold.
    """
    if not yes and (as_json or typer.prompt(f"Type the name '{name}' to erase it") != name):
        fail("Nothing was erased.")
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> None:
        async with store_of(chosen) as found:
            if held := await found.holds.listed(await found.tenants.locked(name)):
                raise conflict(f"Nothing was erased: {held[0].subject} is under the legal hold {held[0].name}.")
            await found.tenants.erase(name)

    run(work())
    show({"erased": name}, as_json, lambda: f"Tenant [bold]{name}[/] is erased.")


app.command("clone")(masking.clone)


def _policy(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise bad_value(f"{file} is not YAML: {problem}") from problem
    if not isinstance(found, dict):
        raise bad_value(f"{file} must say, row by row, what a policy on search parameters says.")
    return found


def _set_status(name: str, status: str, chosen: Settings, as_json: bool) -> None:
    async def work() -> Tenant:
        async with store_of(chosen) as found:
            change = found.tenants.suspend if status == "suspended" else found.tenants.resume
            async with recorded(found, name, "tenant", status):
                return await change(name)

    tenant = run(work())
    show(_described(tenant), as_json, lambda: f"Tenant [bold]{tenant.name}[/] is {tenant.status}.")


def _base(chosen: Settings, tenant: Tenant) -> str:
    return f"{chosen.public_url}/fhir/{tenant.name}"


def _described(tenant: Tenant) -> dict[str, Any]:
    return {
        "name": tenant.name,
        "title": tenant.title,
        "status": tenant.status,
        "database": tenant.database,
        "native": tenant.native,
        "encrypted": tenant.encrypted,
        "settings": {setting: tenant.setting(setting) for setting in SETTINGS},
        "created": tenant.created,
    }


def _table(tenants: list[Tenant]) -> Table:
    table = Table("name", "title", "status", "database", "created", box=None)
    for each in tenants:
        table.add_row(each.name, each.title, each.status, each.database or "common", f"{each.created:%Y-%m-%d %H:%M}")
    if not tenants:
        console.print("There are no tenants yet: fhir-server tenant create NAME")
    return table
