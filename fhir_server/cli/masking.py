"""`fhir-server tenant clone`: a masked copy of a tenant, for test environments."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, errors, fail, in_store, settings, show, tenant_of
from fhir_server.cli.recording import recorded
from fhir_server.fhir.masking.project import LEAST, Project
from fhir_server.jobs import cloning
from fhir_server.jobs.cloning import Cloned
from fhir_server.store.connection import Store

SHOWN = 20
"""Resources without a copy that are named to a person; a program gets all of them."""


def clone(
    source: Annotated[str, typer.Argument(help="The tenant to copy.")],
    target: Annotated[str, typer.Argument(help="Name of the copy.")],
    masked: Annotated[bool, typer.Option("--masked", help="Required: no other copies are made.")] = False,
    project: Annotated[
        Path | None,
        typer.Option(
            help=f"File with a secret of {LEAST} bytes or more: under the same one ids become the same others. "
            "Without it nobody can tell or repeat them.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    database: Annotated[str | None, typer.Option(help="A database of its own for the copy.")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Copy the current resources of a tenant so that they identify nobody, into a new tenant.

    Names, addresses, numbers, texts, pictures and days are gone; ids are others, the same everywhere. Every copy is a
    valid resource, labelled PSEUDED. With --project one that was interrupted goes on when the command is given again.

    [bold]Example[/]

      fhir-server tenant clone riverside riverside-test --masked --project trial.key
    """
    if not masked:
        fail("Nothing was copied: the only copy that is made is one that identifies nobody; say so with --masked.")
    given = _project(project)

    async def work(found: Store) -> Cloned:
        of = await tenant_of(found, source)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=errors, disable=as_json) as progress:
            bar = progress.add_task("Copying", total=await cloning.count(found, of))
            async with recorded(found, source, "export", "masked copy", into=target) as said:
                done = await cloning.clone(
                    found, of, target, given, lambda count: progress.advance(bar, count), database=database
                )
                said |= {"resources": done.resources.total(), "left_out": len(done.left_out)}
            return done

    done = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    left_out = [{"resource": name, "why": why} for name, why in done.left_out]
    show({"tenant": target, "resources": done.resources, "left_out": left_out}, as_json, lambda: _table(done))
    for name, why in [] if as_json else done.left_out[:SHOWN]:
        errors.print(f"{name} has no copy: {why}", style="red", markup=False, highlight=False)


def _project(file: Path | None) -> Project:
    try:
        return Project(file.read_bytes().strip() if file else secrets.token_bytes(LEAST))
    except ValueError as problem:
        fail(str(problem))


def _table(done: Cloned) -> Table:
    table = Table("type", "copied", box=None)
    for name, number in sorted(done.resources.items()):
        table.add_row(name, f"{number:,}")
    return table
