"""A StructureDefinition as a tree of rules: a snapshot by itself, a differential over the tree of its base.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from fhir_server.fhir.definitions import Constraint, kinds
from fhir_server.fhir.outcome import FhirError, error
from fhir_server.fhir.profiles.items import children
from fhir_server.fhir.profiles.pruning import prune
from fhir_server.fhir.profiles.rules import (
    BY_TYPE,
    BY_URL,
    CORE,
    Bound,
    Discriminator,
    Node,
    Profile,
    Slicing,
    TypeRule,
)
from fhir_server.fhir.resource import Resource

MANY: Final = "*"
STRONGER: Final = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
"""What else may stand where an extensible binding does not fit. https://hl7.org/fhir/R4/extension-elementdefinition-maxvalueset.html"""


def needs_base(definition: Resource) -> bool:
    """Whether it says only in what it differs from its base."""
    return not definition.get("snapshot", {}).get("element")


def compiled(definition: Resource, base: Profile | None = None) -> Profile:
    """The rules of a profile; `base` is what a differential is laid over, none where that is a type of R4."""
    type_name = definition.get("type", "")
    if type_name not in kinds():
        raise unusable(definition, f"it is about '{type_name}', which is no type of R4")
    is_differential = needs_base(definition)
    root = deepcopy(base.root) if is_differential and base else Node(type_name, type_name, type_name)
    tree = _Tree(root)
    for element in definition.get("differential" if is_differential else "snapshot", {}).get("element", ()):
        tree.put(element)
    nodes = {each.id: each for each in root.walk()}
    repeated = {each.content: nodes[each.content] for each in nodes.values() if each.content in nodes}
    prune(root)
    return Profile(definition["url"], definition.get("version"), type_name, root, repeated)


def unusable(definition: Resource, why: str) -> FhirError:
    return error("processing", f"The profile {definition.get('url')} cannot be used: {why}.")


class _Tree:
    """Elements put in one by one, each by its id or, where it has none, by its path and the elements before it."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._ids = {root.name: root.name}

    def put(self, element: Resource) -> None:
        segments = self._id(element).split(".")
        node = self._root
        for segment in segments[1:]:
            node = _step(node, segment)
        _state(node, element)
        if node is not self._root and "." not in element["path"]:
            _state(self._root, element)

    def _id(self, element: Resource) -> str:
        path: str = element["path"]
        if "id" in element and element["id"].count(".") == path.count("."):
            return str(element["id"])
        above, _, name = path.rpartition(".")
        parent = self._ids.get(above, above)
        found = f"{parent}.{name}" if above else name
        if "sliceName" in element:
            found += f":{element['sliceName']}"
        self._ids[path] = found
        return found


def _step(parent: Node, segment: str) -> Node:
    """The child that a segment of an id names, made where nothing was said of it before."""
    name, _, slice_name = segment.partition(":")
    typed = _typed(parent, name)
    if typed is not None:
        return _slice(_child(parent, typed[0]), name, typed[1])
    node = _child(parent, name)
    return _resliced(node, slice_name) if slice_name else node


def _typed(parent: Node, name: str) -> tuple[str, str] | None:
    """The choice and the type behind `valueQuantity`, the short form of a slice by type."""
    if parent.path is None or name in children(parent.path):
        return None
    for choice, child in children(parent.path).items():
        if child.element.choice and name in child.forms:
            return choice, child.forms[name][0]
    return None


def _child(parent: Node, name: str) -> Node:
    short = name.removesuffix("[x]")
    if short not in parent.children:
        parent.children[short] = Node(f"{parent.id}.{name}", short, _path(parent, short))
    return parent.children[short]


def _path(parent: Node, name: str) -> str | None:
    """Where the children of a child are defined, as far as that does not depend on its type."""
    child = children(parent.path).get(name) if parent.path else None
    if child is None or len(child.forms) != 1:
        return None
    return next(path for _, path in child.forms.values())


def _resliced(node: Node, slice_name: str) -> Node:
    """A slice, or a slice of a slice: `a/b` is in `a`. https://hl7.org/fhir/R4/profiling.html#reslicing"""
    parts = slice_name.split("/")
    for count in range(1, len(parts) + 1):
        name = "/".join(parts[:count])
        if count == len(parts) or any(each.slice == name for each in node.slices):
            node = _slice(node, name)
    return node


def _slice(node: Node, name: str, type_name: str | None = None) -> Node:
    found = next((each for each in node.slices if each.slice == name), None)
    if found is None:
        base = node.id.partition(":")[0] if node.slice else node.id
        found = Node(f"{base}:{name}", node.name, node.path, name)
        node.slices.append(found)
    if type_name is not None:
        found.types = found.types or (TypeRule(type_name),)
        found.path = found.path or type_name
    if node.slicing is None:
        node.slicing = BY_URL if node.name in ("extension", "modifierExtension") else BY_TYPE
    return found


def _state(node: Node, element: Resource) -> None:
    """What the element says, in the place of what its base said."""
    if "min" in element:
        node.min = element["min"]
    if "max" in element:
        node.max = None if element["max"] == MANY else int(element["max"])
    if "type" in element:
        node.types = tuple(_type(each) for each in element["type"] if "System." not in each.get("code", ""))
        if node.path is None and len(node.types) == 1:
            node.path = node.types[0].code
    if "slicing" in element:
        node.slicing = _slicing(element["slicing"])
    if "binding" in element:
        node.bound = _bound(element["binding"]) or node.bound
    _values(node, element)
    node.must_support = element.get("mustSupport", node.must_support)
    node.length = element.get("maxLength", node.length)
    node.content = element.get("contentReference", "").partition("#")[2] or node.content
    own = tuple(_constraint(each) for each in element.get("constraint", ()) if not _is_of_base(each))
    keys = {each.key for each in own}
    node.constraints = (*(each for each in node.constraints if each.key not in keys), *own)


_STATED: Final[Mapping[str, str]] = {"fixed": "fixed", "pattern": "pattern", "minValue": "least", "maxValue": "most"}


def _values(node: Node, element: Resource) -> None:
    for name, value in element.items():
        for start, attribute in _STATED.items():
            if name.startswith(start) and name[len(start) : len(start) + 1].isupper():
                setattr(node, attribute, value)


def _type(found: Resource) -> TypeRule:
    code = found.get("code", "")
    profiles = tuple(each for each in found.get("profile", ()) if each != CORE + code)
    return TypeRule(code, profiles, tuple(found.get("targetProfile", ())))


def _slicing(found: Resource) -> Slicing:
    listed = tuple(Discriminator(each["type"], each["path"]) for each in found.get("discriminator", ()))
    return Slicing(listed, found.get("rules", "open"), found.get("ordered", False))


def _bound(found: Resource) -> Bound | None:
    """The value set that a code must be of, or that it should be of."""
    strongest = [each["valueCanonical"] for each in found.get("extension", ()) if each.get("url") == STRONGER]
    if strongest:
        return Bound("required", strongest[0])
    return Bound(found["strength"], found["valueSet"]) if "valueSet" in found else None


def _constraint(found: Resource) -> Constraint:
    return Constraint(found["key"], found["severity"], found.get("human", ""), found.get("expression", ""))


def _is_of_base(found: Resource) -> bool:
    """Whether R4 states the rule for the type itself, where it is checked without a profile."""
    source: Any = found.get("source", "")
    return source.startswith(CORE) and source.removeprefix(CORE) in kinds()
