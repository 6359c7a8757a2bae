"""From positioned YAML to the nodes of a template: leaves, literals, groups, lists, loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from fhir_server.mapping import grammar
from fhir_server.mapping.document import Node as Document
from fhir_server.mapping.document import Scalar, Sequence, Table, text, texts
from fhir_server.mapping.model import Constant, Each, First, Group, Items, Leaf, Literal, Node
from fhir_server.mapping.problem import refuse, suggestion

T = TypeVar("T")

CONTROLS = ("$when", "$needs", "$each", "$first", "$value")


def node(found: Document, file: str) -> Node:
    if isinstance(found, Sequence):
        if not found.items:
            raise refuse(file, found.line, "A list in a template has at least one entry.")
        return Items(tuple(node(each, file) for each in found.items), found.line)
    if isinstance(found, Table):
        return _table(found, file)
    return _scalar(found, file)


def _scalar(found: Scalar, file: str) -> Node:
    value = found.value
    if value is None:
        raise refuse(file, found.line, "null has no place in a template: an element without a value is left out.")
    if not isinstance(value, str):
        return Literal(value, found.line)
    if grammar.is_pipe(value):
        return Leaf(_read(grammar.pipe, value, found.line, file), found.line)
    if grammar.is_constant(value):
        return Constant(_read(grammar.constant, value, found.line, file), found.line)
    return Literal(value[1:] if value[:2] in ("$$", "==") else value, found.line)


def _read(parse: Callable[[str], T], value: str, line: int, file: str) -> T:
    try:
        return parse(value)
    except grammar.Unreadable as fault:
        raise refuse(file, line, str(fault)) from fault


def leaf(found: Document, file: str, what: str) -> Leaf:
    """A node that must be `$column | …`."""
    value = text(found, file, what)
    if not grammar.is_pipe(value):
        raise refuse(file, found.line, f"{what} is a column such as $status, not '{value}'.")
    return Leaf(_read(grammar.pipe, value, found.line, file), found.line)


def leaves(found: Document, file: str, what: str) -> tuple[Leaf, ...]:
    """One leaf or a list of them, all of which must hold."""
    items = found.items if isinstance(found, Sequence) else (found,)
    return tuple(leaf(each, file, what) for each in items)


def _table(found: Table, file: str) -> Node:
    for name in found.entries:
        if name.startswith("$") and name not in CONTROLS:
            raise refuse(file, found.lines[name], f"'{name}' means nothing here.{suggestion(name, CONTROLS)}")
    if "$first" in found.entries:
        return _first(found, file)
    if "$each" in found.entries:
        items = leaf(found.entries["$each"], file, "$each")
        return Each(items, _body(found, file), found.line)
    return group(found, file)


def _first(found: Table, file: str) -> First:
    options = found.entries["$first"]
    if len(found.entries) > 1 or not isinstance(options, Sequence) or len(options.items) < 2:
        raise refuse(file, found.line, "$first stands alone and holds a list of two or more.")
    return First(tuple(node(each, file) for each in options.items), found.line)


def _body(found: Table, file: str) -> Node:
    if "$value" not in found.entries:
        return group(found, file)
    if set(found.entries) != {"$each", "$value"}:
        raise refuse(file, found.line, "$value stands with $each and nothing else.")
    return node(found.entries["$value"], file)


def group(found: Table, file: str, without: frozenset[str] = frozenset()) -> Group:
    """The elements of a mapping, apart from the keys that steer."""
    if "$value" in found.entries and "$each" not in found.entries:
        raise refuse(file, found.lines["$value"], "$value stands with $each.")
    steering = without | set(CONTROLS)
    children: Mapping[str, Node] = {
        name: node(value, file) for name, value in found.entries.items() if name not in steering
    }
    if not children:
        raise refuse(file, found.line, "An element with children has at least one.")
    when = leaves(found.entries["$when"], file, "$when") if "$when" in found.entries else ()
    needs = texts(found.entries["$needs"], file, "$needs") if "$needs" in found.entries else ()
    for name in needs:
        if name not in children:
            raise refuse(file, found.lines["$needs"], f"$needs names '{name}', which is not set here.")
    return Group(children, found.lines, found.line, when, needs)
