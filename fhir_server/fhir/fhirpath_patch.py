"""FHIRPath Patch: operations in a Parameters resource.  https://hl7.org/fhir/R4/fhirpatch.html"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from fhir_server.fhir import definitions, nodes, patch, path
from fhir_server.fhir.definitions import Element
from fhir_server.fhir.nodes import Content, Node
from fhir_server.fhir.patch import Patch, Unpatchable
from fhir_server.fhir.resource import Resource

PLACE: Final = "Parameters.parameter[{}]"

Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it is written."""

    type: str
    text: str
    steps: tuple[path.Step, ...]
    parts: Mapping[str, Part]

    def text_of(self, name: str) -> str:
        return str(_value(self._part(name)))

    def number(self, name: str) -> int:
        found = _value(self._part(name))
        if not isinstance(found, int) or isinstance(found, bool):
            raise Unpatchable(f"'{name}' is {found!r}; an integer is needed.", status=400)
        return found

    def content(self, of: Element) -> Content:
        return content(self._part("value"), of)

    def _part(self, name: str) -> Part:
        if name not in self.parts:
            raise Unpatchable(f"The operation {self.type} needs the part '{name}'.", status=400)
        return self.parts[name]


def read(parameters: Resource) -> Patch:
    """The patch of a valid Parameters; refused where an operation could never be done."""
    operations = []
    for index, row in patch.counted(parameters.get("parameter", [])):
        with patch.numbered(index, PLACE.format(index)):
            operations.append(_operation(row))
    return partial(patch.applied, [partial(_done, each) for each in operations], expression=PLACE)


def _operation(row: Part) -> Operation:
    if row["name"] != "operation":
        raise Unpatchable(f"The parameter is named '{row['name']}', not 'operation'.", status=400)
    parts: dict[str, Part] = {}
    for part in row.get("part", ()):
        if part["name"] in parts:
            raise Unpatchable(f"The part '{part['name']}' is there twice.", status=400)
        parts[part["name"]] = part
    given = Operation("", "", (), parts)
    kind, text = given.text_of("type"), given.text_of("path")
    if kind not in _OPERATIONS:
        raise Unpatchable(f"The type is '{kind[:80]}'; it can be {', '.join(_OPERATIONS)}.", status=400)
    return Operation(kind, text, path.parse(text), parts)


def _value(part: Part) -> Any:
    return next((each for name, each in part.items() if name.startswith("value")), None)


def _done(operation: Operation, resource: Resource) -> Resource:
    try:
        return _OPERATIONS[operation.type](operation, resource)
    except Unpatchable as problem:
        raise Unpatchable(f"{operation.type} '{operation.text[:200]}': {problem}", status=problem.status) from None


def _add(operation: Operation, resource: Resource) -> Resource:
    """Appended to a list; an element that does not repeat must not be there yet."""
    parent = _one(nodes.located(resource, operation.steps))
    of = parent.child(operation.text_of("name"))
    there = nodes.contents(parent.content.children, of)
    if there and not of.many:
        raise Unpatchable(f"There is a '{of.name}' already, and it does not repeat.")
    return parent.rebuilt(of, [*there, operation.content(of)])


def _insert(operation: Operation, resource: Resource) -> Resource:
    parent, of, there = _list(operation, resource)
    index = _within(operation, "index", len(there) + 1)
    return parent.rebuilt(of, [*there[:index], operation.content(of), *there[index:]])


def _delete(operation: Operation, resource: Resource) -> Resource:
    """What is not there need not be deleted."""
    found = nodes.located(resource, operation.steps)
    if not found:
        return resource
    return _in_place_of(_one(found), ())


def _replace(operation: Operation, resource: Resource) -> Resource:
    node = _one(nodes.located(resource, operation.steps))
    if node.of is None:
        raise Unpatchable("The resource as a whole can be replaced by an update only.")
    return _in_place_of(node, (operation.content(node.of),))


def _move(operation: Operation, resource: Resource) -> Resource:
    parent, of, there = _list(operation, resource)
    source, destination = (_within(operation, name, len(there)) for name in ("source", "destination"))
    there.insert(destination, there.pop(source))
    return parent.rebuilt(of, there)


_OPERATIONS: Final[Mapping[str, Callable[[Operation, Resource], Resource]]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}


def _one(found: Sequence[Node]) -> Node:
    if len(found) != 1:
        raise Unpatchable(f"The path leads to {len(found) or 'no'} elements; it must lead to one.")
    return found[0]


def _in_place_of(node: Node, values: Sequence[Content]) -> Resource:
    if node.parent is None or node.of is None:
        raise Unpatchable("The resource as a whole can be removed by a delete only.")
    there = nodes.contents(node.parent.content.children, node.of)
    there[node.at : node.at + 1] = values
    return node.parent.rebuilt(node.of, there)


def _list(operation: Operation, resource: Resource) -> tuple[Node, Element, list[Content]]:
    """The list that a path names, which may still be empty."""
    *before, last = operation.steps
    if not isinstance(last, path.Child):
        raise Unpatchable("The path must end with the name of a list.")
    parent = _one(nodes.located(resource, tuple(before)))
    of = parent.child(last.name)
    if not of.many:
        raise Unpatchable(f"'{of.name}' does not repeat.")
    return parent, of, nodes.contents(parent.content.children, of)


def _within(operation: Operation, name: str, end: int) -> int:
    found = operation.number(name)
    if not 0 <= found < end:
        raise Unpatchable(
            f"'{name}' is {found}; it can be 0 to {end - 1}." if end else f"'{name}' is in an empty list."
        )
    return found


def content(part: Part, of: Element) -> Content:
    """What a part says as a value of an element; a BackboneElement comes as parts."""
    if "resource" in part:
        return Content(_named(of, "Resource"), part["resource"])
    if "part" in part:
        return _of_parts(part["part"], of)
    given = next((name for name in part if name.startswith(("value", "_value"))), "")
    suffix = given.removeprefix("_").removeprefix("value")
    return Content(_named(of, suffix), part.get(f"value{suffix}"), part.get(f"_value{suffix}"))


def _of_parts(parts: Sequence[Part], of: Element) -> Content:
    if of.choice:
        raise Unpatchable(f"'{of.name}' is one of several types; its value must say which.")
    empty = Content(of.name, {})
    where = nodes.type_path(of, empty)
    children: Resource = {}
    for each in parts:
        child = nodes.element(where, each["name"])
        children = nodes.holding(children, child, [*nodes.contents(children, child), content(each, child)])
    return empty.holding(children)


def _named(of: Element, given: str) -> str:
    """The JSON name of a value of the given type; a primitive may come as another one, as a code does as a string."""
    for name, type_name in of.json_names():
        if given in (type_name, type_name[:1].upper() + type_name[1:]):
            return name
    if not of.choice and of.types and _primitive(of.types[0]) and _primitive(given[:1].lower() + given[1:]):
        return of.name
    wanted = " or ".join(of.types) or "an element made of parts"
    raise Unpatchable(f"The value is given as {given or 'nothing'}, but '{of.name}' is {wanted}.")


def _primitive(type_name: str) -> bool:
    return definitions.kinds().get(type_name, ("", False))[0] == "primitive-type"
