"""Where each element comes from: by the declaration alone, or for one row with what became of it.

Pure: what is read, and whether values may be shown, is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.compile import Draft, compiled
from fhir_server.mapping.context import Context
from fhir_server.mapping.grammar import Column
from fhir_server.mapping.identity import merged_key
from fhir_server.mapping.model import Each, First, Group, Items, Leaf, Node, Output, TableMapping
from fhir_server.mapping.rows import Rows
from fhir_server.mapping.source import Row
from fhir_server.mapping.traced import leaf_of


@dataclass(frozen=True, slots=True)
class Element:
    """One element: the columns that its value is made of if it is not fixed, and the converters they go through."""

    path: str
    columns: tuple[str, ...] = ()
    converters: tuple[str, ...] = ()
    line: int = 0
    value: Any = None


@dataclass(frozen=True, slots=True)
class Explained:
    """One resource that a row became, or several rows together."""

    output: str
    key: str
    reference: str
    elements: tuple[Element, ...]
    rows: tuple[str, ...] = ()
    """The keys of the rows that became it together; none where it is one row's own."""


def declared(output: Output) -> Iterator[Element]:
    """The elements that an output may have, with the columns that give them."""
    for name, node in output.body.children.items():
        yield from _declared(node, f"{output.resource_type}.{name}", "")


def _declared(node: Node, path: str, items: str) -> Iterator[Element]:
    if isinstance(node, Leaf):
        yield _element(node, path, items)
    elif isinstance(node, Group):
        for name, child in node.children.items():
            yield from _declared(child, f"{path}.{name}", items)
    elif isinstance(node, Items):
        for at, item in enumerate(node.items):
            yield from _declared(item, f"{path}[{at}]", items)
    elif isinstance(node, First):
        for option in node.options:
            yield from _declared(option, path, items)
    elif isinstance(node, Each):
        inside = path if path.endswith("]") else f"{path}[*]"
        yield from _declared(node.body, inside, _written(node.items.pipe.column))
    else:
        yield Element(path, line=node.line)


def _element(leaf: Leaf, path: str, items: str, value: Any = None) -> Element:
    columns = tuple(dict.fromkeys(_written(each, items) for each in leaf.pipe.columns()))
    return Element(path, columns, tuple(map(str, leaf.pipe.steps)), leaf.line, value)


def _written(column: Column, items: str = "") -> str:
    """`name`, `parent.name`, or for an item of a list `list[].name`."""
    found = str(column).removeprefix("$")
    first, dot, rest = found.partition(".")
    return f"{items}[]{dot}{rest}" if first == "item" and items else found


def explained(table: TableMapping, catalogue: Catalogue, row: Row, related: Any, context: Context) -> list[Explained]:
    """What one row becomes, element by element; what it becomes together with others is told by `explained_merge`."""
    traces: list[Leaf] = []
    found = compiled(table, catalogue, traces)
    return list(_explained(found.drafts(row, found.key(row), related, context, []), traces))


def explained_merge(rows: Rows, catalogue: Catalogue, merge: str, value: Any) -> list[Explained]:
    """What the rows that share a value become together; none where no row has it."""
    table, traces = rows.table.table, list[Leaf]()
    several = rows.source.merged(table, table.merges[merge], {value}, rows.tenant).get(value, [])
    if not several:
        return []
    found = compiled(table, catalogue, traces)
    row, whole = rows.together(merge, several, rows.source.related(table, several))
    drafts = found.merged(merge, row, merged_key(value), whole, rows.context, [])
    return list(_explained(drafts, traces, tuple(map(found.key, several))))


def _explained(drafts: Iterable[Draft], traces: list[Leaf], rows: tuple[str, ...] = ()) -> Iterator[Explained]:
    for draft in drafts:
        resource_type = draft.resource["resourceType"]
        elements = tuple(_walked(draft.resource, resource_type, traces))
        yield Explained(draft.output, draft.key, f"{resource_type}/{draft.resource['id']}", elements, rows)


def _walked(value: Any, path: str, traces: list[Leaf]) -> Iterator[Element]:
    leaf = leaf_of(value)
    if leaf is not None:
        yield _element(traces[leaf], path, "", _plain(value))
    elif isinstance(value, dict):
        for name, child in value.items():
            yield from _walked(child, f"{path}.{name}", traces)
    elif isinstance(value, list):
        for at, child in enumerate(value):
            yield from _walked(child, f"{path}[{at}]", traces)
    else:
        yield Element(path, value=value)


def _plain(value: Any) -> Any:
    """The value for people: what is said first of an object."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={_plain(child)}" for name, child in value.items())
    if isinstance(value, list):
        return ", ".join(str(_plain(each)) for each in value)
    return value


def read(rows: Rows, table: TableMapping, pk: str) -> tuple[Row, dict[str, Any]] | None:
    """The row and what is read with it; None where the source has none with the key."""
    found = rows.source.rows(table, [pk])
    return (found[0], rows.source.related(table, found)[0]) if found else None
