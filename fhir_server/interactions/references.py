"""Links between resources: found and rewritten in one walk that the definitions compile.

A walk visits references, elements of type uri, url, oid and uuid, and links in narrative; canonicals and the names of
systems are left alone.
It copies only what changes, so a resource without such links comes back as it is.
https://hl7.org/fhir/R4/http.html#transaction https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import Element
from fhir_server.fhir.resource import Resource
from fhir_server.interactions.links import Links

Rewrite = Callable[[Any, Links], Any]

_LINK_TYPES: Final = frozenset({"uri", "url", "oid", "uuid"})
_HYPERLINK: Final = re.compile(r"""(\b(?:href|src)\s*=\s*)(["'])([^"']*)\2""")


def rewritten(resource: Resource, links: Links) -> Resource:
    """The resource with each link as `links` answers it; the same object where nothing changes."""
    result: Resource = _structure(resource["resourceType"])(resource, links)
    return result


def expression_of(resource: Resource, text: str) -> str:
    """Where in a resource a text stands, as FHIRPath; for messages, so it may be slow."""
    path = _search(resource, text) or ""
    return str(resource["resourceType"]) + path


def _search(value: Any, text: str) -> str | None:
    if value == text:
        return ""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        found = _search(child, text)
        if found is not None:
            return (f"[{name}]" if isinstance(name, int) else f".{name}") + found
    return None


class _Group:
    """The elements that stand together in one object, each with what is to be done with its value."""

    __slots__ = ("_compile", "_steps")

    def __init__(self, compile_steps: Callable[[], dict[str, Rewrite]]) -> None:
        self._compile = compile_steps
        self._steps: dict[str, Rewrite] | None = None

    def __call__(self, value: dict[str, Any], links: Links) -> dict[str, Any]:
        steps = self._steps
        if steps is None:
            steps = self._steps = self._compile()
        changed = None
        for name in value:
            step = steps.get(name)
            if step is None:
                continue
            replaced = step(child := value[name], links)
            if replaced is not child:
                changed = changed or dict(value)
                changed[name] = replaced
        return changed or value


@cache
def _structure(type_name: str) -> _Group:
    return _group(type_name, type_name)


@cache
def _group(type_name: str, path: str) -> _Group:
    """Compiled when first met: types contain themselves, and most are never needed."""
    return _Group(lambda: _steps(type_name, path))


def _steps(type_name: str, path: str) -> dict[str, Rewrite]:
    found: dict[str, Rewrite] = {}
    for element in definitions.structure(type_name).elements[path]:
        for name, of_type in element.json_names():
            if definitions.kinds().get(of_type, ("", False))[0] == "primitive-type":
                found[f"_{name}"] = _many(element, _structure("Element"))
            step = _step(type_name, element, of_type)
            if step is not None:
                found[name] = _many(element, step)
    return found


def _step(type_name: str, element: Element, of_type: str) -> Rewrite | None:
    """What to do with a value of one type; nothing for what can hold no link."""
    if element.path in _FOREIGN or _is_name(type_name, element):
        return None
    if element.content:
        return _group(type_name, element.content)
    if element.path in definitions.structure(type_name).elements:
        return _group(type_name, element.path)
    if of_type == "Reference":
        return _reference(element.targets)
    if of_type in _LEAVES:
        return _LEAVES[of_type]
    kind = definitions.kinds().get(of_type, ("", False))[0]
    return _structure(of_type) if kind == "complex-type" else None


def _is_name(type_name: str, element: Element) -> bool:
    """Whether a uri names a system or a definition, so that it must stay the same wherever it is said."""
    return element.path in _NAMES or (element.path == f"{type_name}.url" and element.types == ("uri",))


_NAMES: Final = frozenset({"Coding.system", "Identifier.system", "Quantity.system"})

_FOREIGN: Final = frozenset({"Bundle.entry.resource", "Bundle.entry.response.outcome", "Parameters.parameter.resource"})
"""Resources inside a stored resource that are a matter of their own: their links resolve there, not here."""


def _many(element: Element, step: Rewrite) -> Rewrite:
    return _each(step) if element.many else step


def _each(step: Rewrite) -> Rewrite:
    def every(values: list[Any], links: Links) -> list[Any]:
        changed = None
        for place, value in enumerate(values):
            replaced = value if value is None else step(value, links)
            if replaced is not value:
                changed = changed or list(values)
                changed[place] = replaced
        return changed or values

    return every


@cache
def _reference(targets: tuple[str, ...]) -> Rewrite:
    """A Reference whose target is one of `targets`."""

    def literal(text: str, links: Links) -> str:
        return links.reference(text, targets)

    return _Group(lambda: {**_steps("Reference", "Reference"), "reference": literal})


def _link(text: str, links: Links) -> str:
    return links.link(text)


def _narrative(div: str, links: Links) -> str:
    if "href" not in div and "src" not in div:
        return div
    replaced = _HYPERLINK.sub(lambda found: found[1] + found[2] + links.link(found[3]) + found[2], div)
    return div if replaced == div else replaced


def _contained(resource: Resource, links: Links) -> Resource:
    return rewritten(resource, links)


_LEAVES: Final[Mapping[str, Rewrite]] = {
    **dict.fromkeys(_LINK_TYPES, _link),
    "xhtml": _narrative,
    "Resource": _contained,
}
