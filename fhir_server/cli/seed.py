"""`fhir-server seed`: a sample legacy database of any size."""

from __future__ import annotations

from enum import StrEnum
from time import monotonic
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from sqlalchemy.exc import SQLAlchemyError

from fhir_server.cli.common import Json, errors, fail, show
from fhir_server.mapping.database import lacking, with_driver
from seed.systems import SYSTEMS

app = typer.Typer(add_completion=False)


System = StrEnum("System", {name.upper(): name for name in SYSTEMS})  # type: ignore[misc]
PMS = System("pms")


@app.command()
def seed(
    to: Annotated[str, typer.Option("--to", help="The database, as SQLAlchemy names it: sqlite:///practice.db.")],
    system: Annotated[System, typer.Option(help="The legacy system.")] = PMS,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Number of patients; the other tables follow.")] = 1000,
    number: Annotated[int, typer.Option("--seed", help="The same seed gives the same rows.")] = 1,
    tenant: Annotated[str, typer.Option("--tenant", help="Name of the practice in its rows.")] = "practice",
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Only what databases with strict types take: the same rows everywhere."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a sample legacy database, with the dirt that real ones have. Tables of the same names are replaced.

    [bold]Example[/]

      fhir-server seed --system pms --rows 10000 --to sqlite:///practice.db
    """
    begun, chosen = monotonic(), SYSTEMS[system]
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), console=errors, disable=as_json, transient=True
    ) as bar:
        task = bar.add_task("")
        try:
            counts = chosen.write(
                with_driver(to).render_as_string(hide_password=False),
                rows=rows,
                tenant=tenant,
                seed=number,
                strict=strict,
                progress=lambda table, count: bar.update(task, description=f"{table}: {count:,} rows"),
            )
        except ImportError as problem:
            fail(f"The database cannot be written: {lacking(problem)}", code=2)
        except SQLAlchemyError as problem:
            fail(f"The database cannot be written: {problem.__class__.__name__}: {problem}".split("\n")[0], code=2)
    seconds = monotonic() - begun
    result = {"tables": counts, "seconds": round(seconds, 2), "keys": dict(chosen.keys)}
    written = ", ".join(f"{count:,} {table}" for table, count in counts.items())
    keys = " ".join(f"--key {name}={key}" for name, key in chosen.keys.items())
    opening = f" Encrypted columns open with [bold]{keys}[/]" if keys else ""
    show(result, as_json, lambda: f"{written} in {seconds:.1f} s.{opening}")
