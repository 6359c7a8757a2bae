"""The difference of two states of a resource, as the FHIRPath Patch that makes one into the other.
https://hl7.org/fhir/R4/fhirpatch.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from difflib import SequenceMatcher
from functools import cache
from typing import Any, Final

from fhir_server.fhir import nodes
from fhir_server.fhir.definitions import Element
from fhir_server.fhir.nodes import Content
from fhir_server.fhir.resource import Resource

Part = dict[str, Any]

OF_THE_SERVER: Final = frozenset({"id", "meta.versionId", "meta.lastUpdated"})
"""What no patch can change."""
MAX_MATCHED: Final = 1_000
"""Items of a list up to which moved neighbours are looked for, which takes time by the square."""
MAX_PATH: Final = 800
"""Characters of a path beyond which an element is replaced as a whole."""
RESOURCE: Final = "Resource"


def between(before: Resource, after: Resource, *, meta: bool = True) -> Resource:
    """Parameters with the operations that turn one state into the other; both are of one type.

    Without `meta` what the meta says is no difference.
    """
    path = str(before["resourceType"])
    states = [each if meta else {**each, "meta": None} for each in (before, after)]
    rows = [_operation(*each) for each in _object(path, path, *states)]
    return {"resourceType": "Parameters", **({"parameter": rows} if rows else {})}


Row = tuple[str, str, Part]
"""The type of an operation, its path, and its other parts by name."""


def _operation(kind: str, path: str, parts: Part) -> Part:
    stated = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    return {"name": "operation", "part": [*stated, *({"name": name, **each} for name, each in parts.items())]}


def _object(at: str, where: str, before: Resource, after: Resource) -> Iterator[Row]:
    """`at` is the path in the resource, `where` that in the definitions."""
    for of in nodes.elements(where).values():
        if _is_of_the_server(at, of):
            continue
        old, new = nodes.contents(before, of), nodes.contents(after, of)
        if frozen(old) == frozen(new):
            continue
        yield from _list(at, of, old, new) if of.many and old else _added(at, of, old, new)


def _is_of_the_server(at: str, of: Element) -> bool:
    return f"{at}.{of.name}".partition(".")[2] in OF_THE_SERVER


def _added(at: str, of: Element, old: Sequence[Content], new: Sequence[Content]) -> Iterator[Row]:
    """An element that does not repeat, or a list that was not there."""
    if not old:
        for each in new:
            yield "add", at, {"name": {"valueString": of.name}, "value": value(each, of)}
    elif not new:
        yield "delete", f"{at}.{of.name}", {}
    else:
        yield from _changed(f"{at}.{of.name}", of, old[0], new[0])


def _changed(at: str, of: Element, old: Content, new: Content) -> Iterator[Row]:
    """Within, where both are objects of the same type; else as a whole."""
    if _is_object(old, new) and len(at) < MAX_PATH:
        yield from _object(at, nodes.type_path(of, old), old.value, new.value)
    else:
        yield "replace", at, {"value": value(new, of)}


def _is_object(old: Content, new: Content) -> bool:
    if old.name != new.name or not (isinstance(old.value, dict) and isinstance(new.value, dict)):
        return False
    return old.value.get("resourceType") == new.value.get("resourceType")


def _list(at: str, of: Element, old: Sequence[Content], new: Sequence[Content]) -> Iterator[Row]:
    """From the end to the beginning, so that what is still to come keeps its place."""
    path = f"{at}.{of.name}"
    for first, last, start, end in reversed(_unlike([frozen(each) for each in old], [frozen(each) for each in new])):
        shared = min(last - first, end - start)
        for place in range(last - 1, first + shared - 1, -1):
            yield "delete", f"{path}[{place}]", {}
        for place in range(end - 1, start + shared - 1, -1):
            yield "insert", path, {"index": {"valueInteger": first + shared}, "value": value(new[place], of)}
        for step in range(shared):
            yield from _changed(f"{path}[{first + step}]", of, old[first + step], new[start + step])


def _unlike(old: Sequence[Any], new: Sequence[Any]) -> list[tuple[int, int, int, int]]:
    """The stretches of both lists that differ."""
    if max(len(old), len(new)) > MAX_MATCHED:
        shared = next(
            (place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
        )
        return [(shared, len(old), shared, len(new))]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return [(first, last, start, end) for tag, first, last, start, end in matcher.get_opcodes() if tag != "equal"]


def frozen(found: Any) -> Any:
    """What two equal values have in common: not the order of members, but every digit of a decimal."""
    if isinstance(found, dict):
        return frozenset((name, frozen(each)) for name, each in found.items())
    if isinstance(found, list):
        return tuple(map(frozen, found))
    if isinstance(found, Content):
        return found.name, frozen(found.value), frozen(found.beside)
    return (type(found), str(found)) if isinstance(found, Decimal | bool | int) else found


@cache
def _valued() -> dict[str, str]:
    """The types that a parameter can have as a value, with the name of that."""
    value_of = nodes.element("Parameters.parameter", "value")
    return {type_name: name for name, type_name in value_of.json_names()}


def value(content: Content, of: Element) -> Part:
    """A value as a parameter has it: of its type, or in parts where parameters know no such type."""
    type_name = next(each for name, each in of.json_names() if name == content.name)
    if type_name == RESOURCE:
        return {"resource": content.value}
    name = "valueString" if type_name == "xhtml" else _valued().get(type_name)
    if name is None:
        return {"part": list(_parts(nodes.type_path(of, content), content.children))}
    found = {name: content.value, f"_{name}": content.beside}
    return {name: each for name, each in found.items() if each is not None}


def _parts(where: str, children: Resource) -> Iterator[Part]:
    for of in nodes.elements(where).values():
        for each in nodes.contents(children, of):
            yield {"name": of.name, **value(each, of)}
