"""The schema that a query needs: the resource types that it names in full, of all others what every resource has.

A query cannot select anything else of those, so it sees no difference; and a schema of 146 types is never made.
https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from typing import Any, Final

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
)

from fhir_server.fhir.definitions import resource_types
from fhir_server.interactions.graphql import find
from fhir_server.interactions.graphql.elements import INTERFACE, RESOURCE, Fields, fields
from fhir_server.interactions.graphql.flatten import DIRECTIVES
from fhir_server.interactions.graphql.survey import CONNECTION, LIST
from fhir_server.search import include, registry

SCHEMAS_KEPT: Final = 16


@lru_cache(maxsize=SCHEMAS_KEPT)
def schema(names: frozenset[str], told: frozenset[str], instance_of: str) -> GraphQLSchema:
    """For the types that are named, those that are asked about, and the type of the instance that is asked, if any."""
    making = _Making(names | {instance_of} - {""}, told)
    for name in sorted(resource_types()):
        listed = partial(making.resource, name) if name in making.names else _common
        making.types[name] = GraphQLObjectType(name, listed, interfaces=[INTERFACE])
    query = making.types[instance_of] if instance_of else GraphQLObjectType("Query", making.query)
    return GraphQLSchema(query, types=making.types.values(), directives=DIRECTIVES, assume_valid=True)


@cache
def _common() -> Fields:
    return fields(RESOURCE)


@dataclass
class _Making:
    """A schema on its way: its types refer to each other."""

    names: frozenset[str]
    told: frozenset[str]
    types: dict[str, GraphQLObjectType] = field(default_factory=dict)
    connections: dict[str, GraphQLObjectType] = field(default_factory=dict)

    def resource(self, name: str) -> Fields:
        """Its elements, and what may refer to it. https://hl7.org/fhir/R4/graphql.html#reverse"""
        found = fields(name)
        for source in sorted(resource_types() if name in self.told else self.names):
            if any(name in targets for targets in include.references(source).values()):
                args = {find.REFERENCE: GraphQLArgument(GraphQLNonNull(GraphQLString)), **_arguments(source)}
                found.update(self.searches(source, args))
        return found

    def query(self) -> Fields:
        found: Fields = {}
        for name in sorted(self.names):
            args = {"id": GraphQLArgument(GraphQLNonNull(GraphQLID))}
            found[name] = GraphQLField(self.types[name], args=args, resolve=partial(find.by_id, name))
            found.update(self.searches(name, _arguments(name)))
        return found or {RESOURCE: GraphQLField(INTERFACE)}

    def searches(self, name: str, args: dict[str, GraphQLArgument]) -> Iterator[tuple[str, GraphQLField]]:
        listed = GraphQLList(self.types[name])
        yield f"{name}{LIST}", GraphQLField(listed, args=args, resolve=partial(find.listed, name))
        if name not in self.connections:
            self.connections[name] = _connection(self.types[name])
        more = {**args, find.CURSOR: GraphQLArgument(GraphQLString)}
        found = GraphQLField(self.connections[name], args=more, resolve=partial(find.connected, name))
        yield f"{name}{CONNECTION}", found


@cache
def _arguments(name: str) -> dict[str, GraphQLArgument]:
    """https://hl7.org/fhir/R4/graphql.html#searching: a name of GraphQL has no hyphen."""
    found = {find.argument(code): GraphQLArgument(GraphQLList(GraphQLString)) for code in registry.parameters(name)}
    numbers = {each: GraphQLArgument(GraphQLInt) for each in (find.COUNT, find.OFFSET)}
    return {**found, find.SORT: GraphQLArgument(GraphQLList(GraphQLString)), **numbers}


def _connection(found: GraphQLObjectType) -> GraphQLObjectType:
    """https://hl7.org/fhir/R4/graphql.html#connection"""
    edge = GraphQLObjectType(
        f"{found.name}Edge",
        {"mode": GraphQLField(GraphQLString), "score": GraphQLField(GraphQLFloat), "resource": GraphQLField(found)},
    )
    return GraphQLObjectType(
        f"{found.name}{CONNECTION}",
        {
            "count": GraphQLField(GraphQLInt, resolve=_of_itself),
            "offset": GraphQLField(GraphQLInt),
            "pagesize": GraphQLField(GraphQLInt),
            "edges": GraphQLField(GraphQLList(edge)),
            "next": GraphQLField(GraphQLID),
        },
    )


def _of_itself(connection: find.Connection, info: Any) -> Any:
    return connection.count(info.context)
