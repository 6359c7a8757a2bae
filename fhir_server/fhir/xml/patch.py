"""XML Patch: RFC 5261 on the XML of a resource.  https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.fhir import patch
from fhir_server.fhir.narrative import NAMESPACE
from fhir_server.fhir.outcome import error
from fhir_server.fhir.patch import Patch, Unpatchable
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.xml import reader, select, tree, writer
from fhir_server.fhir.xml.select import Selector
from fhir_server.fhir.xml.shape import FHIR
from fhir_server.fhir.xml.tree import Tag
from fhir_server.fhir.xml.xhtml import DIV

MEDIA_TYPE: Final = "application/xml-patch+xml"
ROOTS: Final = frozenset({"diff", "patch"})
"""`diff` is that of RFC 5261 and of FHIR, `patch` that of RFC 7351."""

Places = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it is written."""

    kind: str
    selector: Selector
    said: Mapping[str, str]
    content: tuple[Tag, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.kind} '{self.said['sel'][:200]}'"

    def only(self) -> Tag:
        if len(self.content) != 1:
            raise Unpatchable(f"It takes the place of one element; there are {len(self.content)} for it.", status=400)
        return self.content[0]


def read(raw: bytes) -> Patch:
    """The patch of a body; 400 where it is not one."""
    root = tree.read(raw)
    if root.name not in ROOTS:
        raise error(
            "structure", f"An XML Patch is a <diff> with <add>, <replace> and <remove>, not <{root.name[:60]}>."
        )
    operations = []
    for index, each in patch.counted(root.children):
        with patch.numbered(index):
            operations.append(_operation(each, root.namespace))

    def patched(resource: Resource) -> Resource:
        return _applied(operations, resource)

    return patched


def _operation(tag: Tag, namespace: str) -> Operation:
    if tag.name not in _OPERATIONS or tag.namespace != namespace:
        raise Unpatchable(f"<{tag.name[:60]}> is no operation; {', '.join(_OPERATIONS)} are.", status=400)
    unknown = tag.attributes.keys() - _ATTRIBUTES[tag.name]
    if "sel" not in tag.attributes or unknown:
        known = ", ".join(sorted(_ATTRIBUTES[tag.name]))
        raise Unpatchable(f"<{tag.name}> has the attributes {known}, and needs sel.", status=400)
    for each in tag.children:
        _refuse_foreign(each)
    return Operation(
        tag.name, select.read(tag.attributes["sel"].strip(), tag.scope), tag.attributes, tag.children, tag.text
    )


def _refuse_foreign(tag: Tag) -> None:
    if tag.namespace != FHIR and not (tag.raw and tag.name == DIV and tag.namespace == NAMESPACE):
        raise Unpatchable(f"<{tag.name[:60]}> must have the namespace {FHIR}.", status=400)
    if tag.text:
        raise Unpatchable(f"There is text in <{tag.name[:60]}>; a value is an attribute in FHIR.", status=400)
    for each in tag.children:
        _refuse_foreign(each)


def _applied(operations: list[Operation], resource: Resource) -> Resource:
    root, fixed = tree.read(writer.write(resource)), patch.fixed_in(resource)
    for index, operation in enumerate(operations):
        with patch.numbered(index):
            root = _done(operation, root)
        patch.refuse_fixed(fixed, _identity(root), index, "")
    return reader.parse(tree.write(root))


def _done(operation: Operation, root: Tag) -> Tag:
    try:
        return _OPERATIONS[operation.kind](operation, root)
    except Unpatchable as problem:
        raise Unpatchable(f"{operation}: {problem}", status=problem.status) from None


def _identity(root: Tag) -> Resource:
    """What no patch may change, where JSON has it."""
    found = {each.name: each for each in root.children}
    of_meta = {each.name: each.attributes.get("value") for each in found["meta"].children} if "meta" in found else {}
    own: dict[str, Any] = {"resourceType": root.name, "meta": of_meta}
    return {**own, "id": found["id"].attributes.get("value")} if "id" in found else own


def _add(operation: Operation, root: Tag) -> Tag:
    places, position, kind = operation.selector.places(root), operation.said.get("pos"), operation.said.get("type")
    if operation.selector.attribute:
        raise Unpatchable("An attribute has nothing that could be added to; type='@name' adds one.", status=400)
    if kind is not None:
        return _edited(root, places, lambda tag: _with_attribute(tag, kind, operation))
    if not operation.content:
        raise Unpatchable("There is no element to add.", status=400)
    if position in _BESIDE:
        return _spliced(root, places, _BESIDE[position], operation.content)
    if position not in (None, "prepend"):
        raise Unpatchable(f"'pos' is '{position[:40]}'; it can be prepend, before or after.", status=400)
    if position is None:
        return _edited(root, places, lambda tag: tag.with_children((*tag.children, *operation.content)))
    return _edited(root, places, lambda tag: tag.with_children((*operation.content, *tag.children)))


_BESIDE: Final[Mapping[str | None, tuple[int, int]]] = {"before": (0, 0), "after": (1, 1)}
_INSTEAD: Final = (0, 1)


def _with_attribute(tag: Tag, kind: str, operation: Operation) -> Tag:
    name = kind.removeprefix("@").removeprefix("attribute::")
    if name == kind or not name.isalpha():
        raise Unpatchable(f"'type' is '{kind[:40]}'; it can be an attribute such as @value.", status=400)
    if name in tag.attributes:
        raise Unpatchable(f"There is an attribute '{name}' already.")
    if operation.content:
        raise Unpatchable("The value of an attribute is text.", status=400)
    return tag.with_attributes({**tag.attributes, name: operation.text})


def _replace(operation: Operation, root: Tag) -> Tag:
    places, name = operation.selector.places(root), operation.selector.attribute
    if not name:
        return _spliced(root, places, _INSTEAD, (operation.only(),))
    if operation.content:
        raise Unpatchable("The value of an attribute is text.", status=400)
    return _edited(root, places, lambda tag: tag.with_attributes({**_having(tag, name), name: operation.text}))


def _remove(operation: Operation, root: Tag) -> Tag:
    places, name = operation.selector.places(root), operation.selector.attribute
    if "ws" in operation.said:
        raise Unpatchable("There is no white space beside elements of a resource.")
    if operation.content or operation.text:
        raise Unpatchable("What is removed needs no content.", status=400)
    if not name:
        return _spliced(root, places, _INSTEAD, ())
    return _edited(
        root, places, lambda tag: tag.with_attributes({k: v for k, v in _having(tag, name).items() if k != name})
    )


_OPERATIONS: Final[Mapping[str, Callable[[Operation, Tag], Tag]]] = {
    "add": _add,
    "replace": _replace,
    "remove": _remove,
}
_ATTRIBUTES: Final = {
    "add": frozenset({"sel", "pos", "type"}),
    "replace": frozenset({"sel"}),
    "remove": frozenset({"sel", "ws"}),
}


def _having(tag: Tag, name: str) -> Mapping[str, str]:
    if name not in tag.attributes:
        raise Unpatchable(f"There is no attribute '{name}'.")
    return tag.attributes


def _edited(tag: Tag, places: Places, edit: Callable[[Tag], Tag]) -> Tag:
    """A copy of the elements on the way; all else is shared."""
    if tag.raw:
        raise Unpatchable("Narrative is replaced as a whole.")
    if not places:
        return edit(tag)
    at, *rest = places
    child = _edited(tag.children[at], tuple(rest), edit)
    return tag.with_children((*tag.children[:at], child, *tag.children[at + 1 :]))


def _spliced(root: Tag, places: Places, span: tuple[int, int], content: tuple[Tag, ...]) -> Tag:
    """Among the children of its parent: before, after, or instead of an element."""
    if not places:
        raise Unpatchable("The resource as a whole has nothing beside it, and is replaced by an update only.")
    start, end = (places[-1] + each for each in span)
    return _edited(
        root, places[:-1], lambda tag: tag.with_children((*tag.children[:start], *content, *tag.children[end:]))
    )
