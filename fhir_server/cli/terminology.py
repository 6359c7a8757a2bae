"""`fhir-server terminology …`: code systems too large for one resource, and the code tables of the mappings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from fhir_server.access.caller import Caller
from fhir_server.cli import code_systems
from fhir_server.cli.code_systems import Described, Source
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, errors, run, settings, show, tenant_of
from fhir_server.cli.recording import recorded
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import Concept
from fhir_server.interactions.terminology import Terminology, searched
from fhir_server.mapping import catalogue, concept_maps
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.concepts import Loaded, Row, name_of_load, name_of_system
from fhir_server.store.repository import Repository

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Load code systems from files, and the code tables of the mappings.",
)

TOGETHER = 2_000
"""Concepts that are written in one go."""


@dataclass(frozen=True, slots=True)
class Result:
    """`already` of the concepts were there before."""

    file: str
    url: str
    version: str | None
    resource: str
    concepts: int
    already: int


@app.command()
def load(
    tenant: TenantName,
    files: Annotated[list[Path], typer.Argument(help="CodeSystem as .json, or .csv, .tsv; also .gz.", exists=True)],
    system: Annotated[str | None, typer.Option("--system", help="URL of the code system, for tables.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Its version, for tables.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Its name, for tables.")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Load code systems of any size.

    Tables have the columns code, display and parent in their first line; a concept with several parents has several
    lines. What was loaded before stays in use until the new one is whole. Interrupted, the same command goes on where
    it ended; repeated, it changes nothing.

    [bold]Examples[/]

      fhir-server terminology load --tenant riverside CodeSystem-loinc.json.gz
      fhir-server terminology load --tenant riverside --system urn:oid:1.2.3 --version 2024 codes.csv
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    described = Described(system, version, name)
    results = run(_loaded(chosen, tenant, files, described, quiet=as_json))
    show([asdict(each) for each in results], as_json, lambda: _table(results))


@app.command()
def maps(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Store the code tables of the mappings as ConceptMaps, for $translate.

    [bold]Example[/]

      fhir-server terminology maps --tenant riverside
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    urls = run(_published(chosen, tenant))
    show(urls, as_json, lambda: "\n".join(urls))


async def _published(chosen: Settings, tenant: str) -> list[str]:
    """The maps belong to all sources together."""
    found = list(concept_maps.resources(catalogue.load(catalogue.sources()[0])))
    async with store_of(chosen) as opened:
        repository = opened.repository(await tenant_of(opened, tenant), Caller.system(tenant, "publish maps"))
        await repository.put_many(found)
    return [each["url"] for each in found]


async def _loaded(
    chosen: Settings, tenant: str, files: list[Path], described: Described, *, quiet: bool
) -> list[Result]:
    results = []
    async with store_of(chosen) as found:
        repository = found.repository(await tenant_of(found, tenant), Caller.system(tenant, "load terminology"))
        with _progress(quiet) as progress:
            for path in files:
                source = code_systems.read(path, described)
                told = partial(_told, progress, progress.add_task(path.name, total=len(source.concepts)))
                async with recorded(found, tenant, "load", source.head["url"], concepts=len(source.concepts)):
                    results.append(await _load(repository, path, source, told))
    return results


async def _load(repository: Repository, path: Path, source: Source, told: Callable[[int], None]) -> Result:
    """The concepts first, then they are the current ones, then the resource that callers find them by."""
    url, version = source.head["url"], source.head.get("version")
    load = name_of_load(url, version, source.raw)
    already = await _kept(repository, load, source, told)
    loaded = Loaded(load, source.head["content"], len(source.concepts))
    await repository.concepts.take_over(url, version, loaded)
    resource = await _resource(repository, source)
    await repository.put_many([resource])
    place = f"CodeSystem/{resource['id']}"
    return Result(str(path), url, version, place, len(source.concepts), already)


async def _kept(repository: Repository, load: str, source: Source, told: Callable[[int], None]) -> int:
    """Whole batches that are there already are passed over: batches are written one after the other."""
    already = await repository.concepts.kept(load)
    first = already if already == len(source.concepts) else already // TOGETHER * TOGETHER
    sensitive = source.head.get("caseSensitive", True)
    for start in range(first, len(source.concepts), TOGETHER):
        told(start)
        batch = enumerate(source.concepts[start : start + TOGETHER], start=start)
        await repository.concepts.keep(load, [_row(number, each, sensitive) for number, each in batch])
    told(len(source.concepts))
    return already


def _row(number: int, concept: Concept, sensitive: bool) -> Row:
    key = concept.code if sensitive else concept.code.casefold()
    return Row(number, key, concept, searched(concept.code, concept.display, concept.designations))


async def _resource(repository: Repository, source: Source) -> Resource:
    """The CodeSystem without its concepts, in the place of the one with the same URL and version."""
    url, version = source.head["url"], source.head.get("version")
    before = await Terminology(repository).resource("CodeSystem", url, version)
    same = before if before and before.get("version") == version else None
    resource_id = same["id"] if same else source.head.get("id", name_of_system(url, version))
    return {**source.head, "id": resource_id, "content": "not-present", "count": len(source.concepts)}


def _told(progress: Progress, bar: TaskID, done: int) -> None:
    progress.update(bar, completed=done)


def _progress(quiet: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=errors, disable=quiet)


def _table(results: list[Result]) -> Table:
    table = Table("code system", "version", "concepts", "already there", "resource", box=None)
    for each in results:
        table.add_row(each.url, each.version or "", f"{each.concepts:,}", f"{each.already:,}", each.resource)
    return table
