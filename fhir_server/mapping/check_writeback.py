"""Proves what is declared writable: tables, outputs and columns that there are, and a way back to each column."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.model import Output, TableMapping
from fhir_server.mapping.problem import Problem, suggestion
from fhir_server.mapping.routes import NoWayBack, route
from fhir_server.mapping.writable import FILE, Writable


def problems(catalogue: Catalogue) -> Iterator[Problem]:
    """Everything wrong with the write-back of a source."""
    for each in catalogue.writeback.values():
        for message in _table(each, catalogue):
            yield Problem(f"{catalogue.source}/{FILE}", each.line, message)


def _table(writable: Writable, catalogue: Catalogue) -> Iterator[str]:
    table = catalogue.tables.get(writable.table)
    if table is None:
        yield f"There is no declaration of the table '{writable.table}'.{suggestion(writable.table, catalogue.tables)}"
        return
    outputs = {each.name: each for each in table.outputs if not (each.each or each.merge or each.key)}
    if writable.output not in outputs:
        known = suggestion(writable.output, outputs)
        yield f"{table.name} has no output '{writable.output}' of which each row makes one.{known}"
        return
    yield from _columns(writable, table, outputs[writable.output], catalogue)


def _columns(writable: Writable, table: TableMapping, output: Output, catalogue: Catalogue) -> Iterator[str]:
    steering = {*table.key, *table.tenant, *table.watermark, writable.check}
    for name in (writable.check, *writable.columns):
        if name not in table.columns:
            yield f"{table.name} has no column '{name}'.{suggestion(name, table.columns)}"
    for name in writable.elements:
        if name not in output.body.children:
            yield f"{output.name} is given no element '{name}'.{suggestion(name, output.body.children)}"
    for name in writable.columns:
        if name in steering:
            yield f"The column '{name}' says which row it is or when it changed, and is not written."
        elif name in table.columns:
            try:
                route(table, output, writable.elements, name, catalogue)
            except NoWayBack as fault:
                yield str(fault)
