"""@flatten, @first, @singleton and @slice: the answer in the form of a table rather than of a resource.
https://hl7.org/fhir/R4/graphql.html#flatten
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, Final

from graphql import (
    DirectiveLocation,
    ExecutionContext,
    FieldNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLDirective,
    GraphQLError,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
    InlineFragmentNode,
    SelectionNode,
    get_directive_values,
    specified_directives,
)
from graphql.pyutils import Path

from fhir_server.fhir.primitives import written
from fhir_server.interactions.graphql.node import Node
from fhir_server.interactions.pace import STEP

_ON_FIELDS: Final = [DirectiveLocation.FIELD]
FLATTEN: Final = GraphQLDirective("flatten", _ON_FIELDS)
FIRST: Final = GraphQLDirective("first", _ON_FIELDS)
SINGLETON: Final = GraphQLDirective("singleton", _ON_FIELDS)
SLICE: Final = GraphQLDirective("slice", _ON_FIELDS, {"path": GraphQLArgument(GraphQLNonNull(GraphQLString))})
DIRECTIVES: Final = (*specified_directives, FLATTEN, FIRST, SINGLETON, SLICE)

INDEX: Final = "$index"
_NAMES: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9]*)*\Z")

Answer = dict[str, Any]
Selected = dict[str, list[FieldNode]]


class Flattening(ExecutionContext):
    """Executes as the GraphQL specification says, then moves what is marked."""

    def complete_list_value(
        self, return_type: Any, field_nodes: list[FieldNode], info: Any, path: Path, result: Any
    ) -> Any:
        """@slice looks at the elements as they are in the resource, so their suffixes are noted before.

        A long list is completed in steps, between which other requests get their turn.
        """
        marks = field_nodes[0].directives
        if marks and result:
            if _has(field_nodes, FIRST):
                result = list(result)[:1]
            sliced = get_directive_values(SLICE, field_nodes[0], self.variable_values)
            if sliced:
                self._suffixes[tuple(path.as_list())] = list(_suffixes(result, sliced["path"], field_nodes))
        if isinstance(result, list) and len(result) > STEP:
            result = [_in_turn(place // STEP, each) for place, each in enumerate(result)]
        return super().complete_list_value(return_type, field_nodes, info, path, result)

    @property
    def _suffixes(self) -> dict[tuple[str | int, ...], list[str]]:
        found: dict[tuple[str | int, ...], list[str]] = self.__dict__.setdefault("_noted", {})
        return found

    def execute_fields(self, parent_type: GraphQLObjectType, source_value: Any, path: Any, fields: Selected) -> Any:
        done: Any = super().execute_fields(parent_type, source_value, path, fields)
        marked = {name: found for name, found in fields.items() if _has(found, FLATTEN) or _has(found, SLICE)}
        if not marked:
            return done
        return self._later(done, marked, path) if self.is_awaitable(done) else self._moved(done, marked, path)

    async def _later(self, done: Awaitable[Answer], marked: Selected, path: Path | None) -> Answer:
        return self._moved(await done, marked, path)

    def _moved(self, done: Answer, marked: Selected, path: Path | None) -> Answer:
        moved: Answer = {}
        for name, value in done.items():
            pieces = self._pieces(name, value, marked[name], path) if name in marked else {name: value}
            for each, piece in pieces.items():
                if each in moved:
                    raise GraphQLError(f"Two fields give '{each}' once they are flattened; one needs an alias.")
                moved[each] = piece
        return moved

    def _pieces(self, name: str, value: Any, nodes: list[FieldNode], path: Path | None) -> Answer:
        """What a marked field becomes: its children, or itself in slices."""
        items = value if isinstance(value, list) else [value]
        noted = self._suffixes.pop((*(path.as_list() if path else ()), name), None) or [""] * len(items)
        groups: dict[str, list[Any]] = {}
        for suffix, item in zip(noted, items, strict=False):
            if item is not None:
                groups.setdefault(suffix, []).append(item)
        if not _has(nodes, FLATTEN):
            return {f"{name}{suffix}": found for suffix, found in groups.items()}
        single = set(self._singletons(nodes[0].selection_set.selections if nodes[0].selection_set else ()))
        many = isinstance(value, list)
        return {
            f"{child}{suffix}": _collated(child, found, many=many, single=child.partition(".")[0] in single)
            for suffix, group in groups.items()
            for child, found in _children(name, group).items()
        }

    def _singletons(self, selected: Iterable[SelectionNode]) -> Iterator[str]:
        """Names of fields that are one value each, also of those that move up through this one."""
        for each in selected:
            if isinstance(each, FieldNode):
                if _has([each], SINGLETON):
                    yield (each.alias or each.name).value
                within = each.selection_set if _has([each], FLATTEN) else None
            elif isinstance(each, InlineFragmentNode):
                within = each.selection_set
            else:
                assert isinstance(each, FragmentSpreadNode)
                within = self.fragments[each.name.value].selection_set
            yield from self._singletons(within.selections if within else ())


async def _in_turn(steps: int, item: Any) -> Any:
    for _ in range(steps):
        await asyncio.sleep(0)
    return item


def _has(nodes: list[FieldNode], directive: GraphQLDirective) -> bool:
    return any(each.name.value == directive.name for node in nodes for each in node.directives)


def _children(name: str, group: list[Any]) -> dict[str, list[Any]]:
    """By name the values of all items."""
    found: dict[str, list[Any]] = {}
    for item in group:
        if not isinstance(item, dict):
            raise GraphQLError(f"'{name}' has no children that could take its place: @flatten is for objects.")
        for child, value in item.items():
            if value is not None:
                found.setdefault(child, []).append(value)
    return found


def _collated(name: str, found: list[Any], *, many: bool, single: bool) -> Any:
    """A list where a list was flattened, unless it is said to be one value."""
    if not (many or single):
        return found[0]
    values = [value for each in found for value in (each if isinstance(each, list) else [each]) if value is not None]
    if not single:
        return values
    if len(values) > 1:
        raise GraphQLError(f"'{name}' is @singleton, but there are {len(values)} values of it.")
    return values[0] if values else None


def _suffixes(items: Iterable[Any], path: str, nodes: list[FieldNode]) -> Iterator[str]:
    """A point and the value of a path for each element; nothing where it has none."""
    if path != INDEX and not _NAMES.match(path):
        raise GraphQLError(f"The path of @slice is '{path[:80]}'; it can be {INDEX} or names such as type.text.", nodes)
    for index, item in enumerate(items):
        values = [index] if path == INDEX else _values(item, path.split("."))
        if len(values) > 1:
            raise GraphQLError(f"The path '{path}' of @slice has {len(values)} values in one element.", nodes)
        yield f".{written(values[0])}" if values else ""


def _values(item: Any, names: list[str]) -> list[Any]:
    found = [item.value if isinstance(item, Node) else item]
    for name in names:
        children = [each.get(name) for each in found if isinstance(each, dict)]
        found = [value for each in children for value in (each if isinstance(each, list) else [each])]
        found = [each for each in found if each is not None]
    return [each for each in found if not isinstance(each, dict)]
