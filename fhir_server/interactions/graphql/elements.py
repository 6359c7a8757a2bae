"""Data types and elements as GraphQL types, from the definitions; made once, whichever resources have them.
https://hl7.org/fhir/R4/graphql.html#names
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLField,
    GraphQLID,
    GraphQLInt,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLString,
)

from fhir_server.fhir import nodes
from fhir_server.fhir.definitions import Element
from fhir_server.fhir.outcome import bad_value
from fhir_server.fhir.primitives import PRIMITIVE_TYPES
from fhir_server.fhir.references import contained
from fhir_server.interactions.graphql.node import Node, holds, texts
from fhir_server.interactions.graphql.session import Session, unresolved

RESOURCE: Final = "Resource"
BESIDE: Final = "ElementBase"
"""What a primitive has beside its value, under `_` and its name."""
PAGING: Final = ("_offset", "_count")

Fields = dict[str, GraphQLField]
Resolver = Callable[..., Any]

_BUILT_IN: Final = {
    "boolean": GraphQLBoolean,
    "string": GraphQLString,
    "xhtml": GraphQLString,
    "integer": GraphQLInt,
    "id": GraphQLID,
}


@cache
def scalar(type_name: str) -> GraphQLScalarType:
    """A primitive goes out as JSON has it, a decimal with its digits."""
    return _BUILT_IN.get(type_name) or GraphQLScalarType(type_name, serialize=lambda value: value)


def _resource_type(node: Node, *_: Any) -> str:
    return str(node.value["resourceType"])


INTERFACE: Final = GraphQLInterfaceType(RESOURCE, lambda: fields(RESOURCE), resolve_type=_resource_type)


@cache
def complex_type(path: str) -> GraphQLObjectType:
    """Of a data type, or of an element with children (`Patient.contact` is a `PatientContact`)."""
    name = "".join(each[0].upper() + each[1:] for each in path.split("."))
    return GraphQLObjectType(BESIDE if path == nodes.PRIMITIVE else name, lambda: fields(path))


def fields(path: str) -> Fields:
    """Of every element one, of a choice one per type; primitives have a second one for what stands beside them."""
    found: Fields = {}
    for of in nodes.elements(path).values():
        for name, type_name in of.json_names():
            found[name] = _field(of, name, type_name)
            if type_name in PRIMITIVE_TYPES and not of.plain:
                found[f"_{name}"] = _listed(of, complex_type(nodes.PRIMITIVE), _objects(f"_{name}", many=of.many))
    if path == "Reference":
        found["resource"] = _resource_field()
    if _is_resource(path):
        found["resourceType"] = GraphQLField(GraphQLString, resolve=_resource_type)
    return found


def _is_resource(path: str) -> bool:
    return "." not in path and "meta" in nodes.elements(path) and "implicitRules" in nodes.elements(path)


def _field(of: Element, name: str, type_name: str) -> GraphQLField:
    if type_name in PRIMITIVE_TYPES:
        return _listed(of, scalar(type_name), _values(name, many=of.many))
    if type_name == RESOURCE:
        return _listed(of, INTERFACE, _objects(name, many=of.many, alone=name != "contained"))
    path = of.content or (of.path if nodes.elements(of.path) else type_name)
    return _listed(of, complex_type(path), _objects(name, many=of.many), _conditions(path))


def _listed(
    of: Element, type_: GraphQLOutputType, resolve: Resolver, conditions: dict[str, GraphQLArgument] | None = None
) -> GraphQLField:
    if not of.many:
        return GraphQLField(type_, resolve=resolve)
    return GraphQLField(GraphQLList(type_), args={**(conditions or {}), **_paging()}, resolve=resolve)


@cache
def _paging() -> dict[str, GraphQLArgument]:
    return {name: GraphQLArgument(GraphQLInt) for name in PAGING}


@cache
def _conditions(path: str) -> dict[str, GraphQLArgument]:
    """`name(use: official)`: items of a list are chosen by the primitives in them."""
    return {
        name: GraphQLArgument(GraphQLList(GraphQLString))
        for of in nodes.elements(path).values()
        for name, type_name in of.json_names()
        if type_name in PRIMITIVE_TYPES and not of.many
    }


def _values(name: str, *, many: bool) -> Resolver:
    def one(node: Node, info: GraphQLResolveInfo) -> Any:
        return node.value.get(name) if _session(info).spend("values") else None

    def all_of_them(node: Node, info: GraphQLResolveInfo, **given: Any) -> Any:
        found = node.value.get(name)
        return _page(found, given) if found and _session(info).spend("values", len(found)) else found and []

    return all_of_them if many else one


def _objects(name: str, *, many: bool, alone: bool = False) -> Resolver:
    def one(node: Node, info: GraphQLResolveInfo) -> Node | None:
        found = node.value.get(name)
        return node.within(found, alone=alone) if found is not None and _session(info).spend("values") else None

    def all_of_them(node: Node, info: GraphQLResolveInfo, **given: Any) -> list[Node | None] | None:
        found = node.value.get(name)
        if found is None or not _session(info).spend("values", len(found)):
            return None
        wanted = [(each, texts(value)) for each, value in given.items() if each not in PAGING]
        chosen = [each for each in found if holds(each, wanted)] if wanted else found
        return [each if each is None else node.within(each, alone=alone) for each in _page(chosen, given)]

    return all_of_them if many else one


def _session(info: GraphQLResolveInfo) -> Session:
    session: Session = info.context
    return session


def _page(found: list[Any], given: dict[str, Any]) -> list[Any]:
    offset, count = (whole(name, given.get(name)) for name in PAGING)
    return found[offset or 0 :][:count]


def whole(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise bad_value(f"'{name}' is {str(value)[:40]}; a whole number from 0 up is needed.")
    return value


def _resource_field() -> GraphQLField:
    """https://hl7.org/fhir/R4/graphql.html#references"""
    args = {"optional": GraphQLArgument(GraphQLBoolean), "type": GraphQLArgument(GraphQLString)}
    return GraphQLField(INTERFACE, args=args, resolve=_referred)


async def _referred(node: Node, info: GraphQLResolveInfo, optional: Any = None, type: Any = None) -> Node | None:  # noqa: A002
    """What a reference leads to. One that leads nowhere is an error, unless it may; of another type it is nothing."""
    session, text = _session(info), node.value.get("reference")
    if not session.spend("values"):
        return None
    found = await _target(session, node, text)
    if found is None and optional is not True and not session.exhausted:
        raise unresolved(text)
    return found if found is not None and type in (None, found.value["resourceType"]) else None


async def _target(session: Session, node: Node, text: Any) -> Node | None:
    if not isinstance(text, str):
        return None
    if text.startswith("#"):
        inside = node.root if text == "#" else contained(node.root, text[1:])
        return None if inside is None else Node(inside, node.root)
    found = await session.referred(text)
    return None if found is None else Node.of(found)
