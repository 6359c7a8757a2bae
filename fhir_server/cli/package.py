"""`fhir-server package …`: the FHIR packages whose profiles and value sets resources are checked against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from fhir_server.cli import archive
from fhir_server.cli.archive import BUILT_IN, Archive
from fhir_server.cli.common import (
    DataDir,
    Json,
    MongoUrl,
    errors,
    explained,
    fail,
    run,
    settings,
    show,
    tenant_of,
)
from fhir_server.cli.recording import recorded
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.connection import Store
from fhir_server.store.packages import Package
from fhir_server.store.tenants import Tenant

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Add, list and remove FHIR packages.")

ForTenant = Annotated[str | None, typer.Option("--tenant", "-t", help="The tenant that has it.")]
ForAll = Annotated[bool, typer.Option("--all", help="All tenants have it.")]


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="npm packages, .tgz.", exists=True, dir_okay=False)],
    tenant: ForTenant = None,
    everyone: ForAll = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Load FHIR packages for one tenant or for all; servers that run know within a second.

    Every file is read and checked before the first is stored. What a package depends on is looked for among the files
    and in what is loaded; what is missing is named, and profiles that need it say so when they are used.

    [bold]Examples[/]

      fhir-server package add hl7.fhir.us.core-6.1.0.tgz --tenant riverside
      fhir-server package add hl7.fhir.us.mcode-4.0.0.tgz hl7.terminology.r4-7.0.1.tgz --all
    """
    _one_place(tenant, everyone)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    with Progress(console=errors, disable=as_json) as progress:
        archives = _read(files, progress)
        rows, missing = run(_added(chosen, tenant, archives, progress))
    for each in missing:
        errors.print(f"[yellow]Note[/]: {each}", highlight=False, soft_wrap=True)
    show({"packages": rows, "missing": missing}, as_json, lambda: _table(rows))


@app.command("list")
def list_(
    tenant: ForTenant = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the packages of a tenant with those that all tenants share, or only the shared ones."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> list[Package]:
        async with store_of(chosen) as found:
            return await found.packages.loaded(await _owner(found, tenant))

    rows = [_described(each) for each in run(work())]
    show(rows, as_json, lambda: _table(rows))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="NAME for every version, NAME#VERSION for one.")],
    tenant: ForTenant = None,
    everyone: ForAll = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Remove a package of a tenant, or one that all tenants share. What was stored under its profiles stays."""
    _one_place(tenant, everyone)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    called, _, version = name.partition("#")

    async def work() -> list[Package]:
        async with store_of(chosen) as found:
            removed = await found.packages.remove(await _owner(found, tenant), called, version or None)
            if tenant is not None:
                async with recorded(found, tenant, "package", called, removed=len(removed)):
                    return removed
            return removed

    rows = [_described(each) for each in run(work())]
    if not rows:
        fail(f"There is no package '{name}' here; 'fhir-server package list' shows those there are.")
    show({"removed": rows}, as_json, lambda: f"Removed {', '.join(_label(each) for each in rows)}.")


def _one_place(tenant: str | None, everyone: bool) -> None:
    if (tenant is None) != everyone:
        fail("Say for whom: --tenant NAME, or --all.", code=2)


async def _owner(found: Store, name: str | None) -> Tenant | None:
    return await tenant_of(found, name) if name else None


def _read(files: Iterable[Path], progress: Progress) -> list[Archive]:
    listed = list(files)
    bar = progress.add_task("Reading", total=sum(each.stat().st_size for each in listed))
    with explained():
        return [archive.read(each, lambda size: progress.advance(bar, size)) for each in listed]


async def _added(
    chosen: Settings, name: str | None, archives: Sequence[Archive], progress: Progress
) -> tuple[list[dict[str, Any]], list[str]]:
    """What became of each package, and a sentence for each dependency that is nowhere."""
    bar = progress.add_task("Storing", total=sum(len(each.definitions) for each in archives))
    rows = []
    async with store_of(chosen) as found:
        tenant = await _owner(found, name)
        for each in archives:
            package = each.package
            done = await found.packages.add(
                tenant, package, each.definitions, lambda count: progress.advance(bar, count)
            )
            rows.append({**_described(package), "shared": tenant is None, "added": done})
            if tenant is not None:
                async with recorded(found, tenant.name, "package", package.name, version=package.version, added=done):
                    pass
        return rows, missing(archives, await found.packages.loaded(tenant))


def missing(archives: Iterable[Archive], loaded: Iterable[Package]) -> list[str]:
    """What the packages depend on and nobody has, or has in another version only."""
    versions: dict[str, list[str]] = {}
    for each in loaded:
        versions.setdefault(each.name, []).append(each.version)
    told = []
    for package in (each.package for each in archives):
        for name, version in package.dependencies.items():
            if name in BUILT_IN or _fits(version, versions.get(name, [])):
                continue
            have = f"; there is {', '.join(versions[name])}" if name in versions else ""
            told.append(f"{package.label} depends on {name}#{version}, which is not loaded{have}.")
    return told


def _fits(version: str, loaded: Iterable[str]) -> bool:
    """`6.1.x`, `latest` and `current` are not one version. https://hl7.org/fhir/packages"""
    if version in ("latest", "current", "dev", "x", "*"):
        return any(True for _ in loaded)
    start = version.removesuffix("x") if version.endswith(".x") else None
    return any(each == version or (start is not None and each.startswith(start)) for each in loaded)


def _described(package: Package) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "definitions": package.definitions,
        "dependencies": dict(package.dependencies),
        "shared": package.shared,
    }


def _label(row: dict[str, Any]) -> str:
    return f"{row['name']}#{row['version']}"


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("package", "version", "definitions", "for", "", box=None)
    for each in rows:
        state = {True: "added", False: "was here already"}.get(each.get("added", ""), "")
        owner = "all tenants" if each["shared"] else "this tenant"
        table.add_row(each["name"], each["version"], f"{each['definitions']:,}", owner, state)
    return table
