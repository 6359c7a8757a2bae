"""A resource as XML, in the order of the definitions.  https://hl7.org/fhir/R4/xml.html"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from fhir_server.fhir.resource import Resource
from fhir_server.fhir.xml import xhtml
from fhir_server.fhir.xml.shape import EXTENSIBLE, FHIR, RESOURCE, XHTML, Child, children
from fhir_server.fhir.xml.values import written

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
STEP = "  "

Put = Callable[[str], None]


def write(resource: Resource, *, pretty: bool = False) -> bytes:
    """`pretty` indents by two; narrative stays as it is."""
    parts = [DECLARATION]
    _resource(parts.append, resource, "\n" if pretty else "", f' xmlns="{FHIR}"')
    return "".join(parts).encode()


def _resource(put: Put, resource: Resource, pad: str, namespace: str = "") -> None:
    name = resource["resourceType"]
    _element(put, name, name, resource, pad, namespace)


def _element(put: Put, name: str, path: str, value: Resource, pad: str, attributes: str = "") -> None:
    """An element with its attributes and its children; `pad` is what precedes it on a line of its own."""
    within: list[Child] = []
    for child in _present(path, value):
        if child.is_attribute:
            attributes += f' {child.name}="{written(value[child.name])}"'
        else:
            within.append(child)
    if not within:
        put(f"{pad}<{name}{attributes}/>")
        return
    put(f"{pad}<{name}{attributes}>")
    for child in within:
        _child(put, child, value.get(child.name), value.get(f"_{child.name}"), pad and pad + STEP)
    put(f"{pad}</{name}>")


def _present(path: str, value: Resource) -> list[Child]:
    """The children that are there, also those with no more than extensions, in order."""
    known = children(path)
    names = {name.removeprefix("_") for name in value if name != "resourceType" or name in known}
    return sorted([known[name] for name in names], key=_order)


def _order(child: Child) -> int:
    return child.order


def _child(put: Put, child: Child, value: Any, sibling: Any, pad: str) -> None:
    if not child.many:
        _one(put, child, value, sibling, pad)
        return
    for each, beside in zip_longest(value or (), sibling or ()):
        _one(put, child, each, beside, pad)


def _one(put: Put, child: Child, value: Any, sibling: Any, pad: str) -> None:
    if child.type_name == RESOURCE:
        put(f"{pad}<{child.name}>")
        _resource(put, value, pad and pad + STEP)
        put(f"{pad}</{child.name}>")
    elif child.type_name == XHTML:
        put(pad + xhtml.written(value))
    elif not child.is_primitive:
        _element(put, child.name, child.path, value, pad)
    else:
        stated = "" if value is None else f' value="{written(value)}"'
        if sibling:
            _element(put, child.name, EXTENSIBLE, sibling, pad, stated)
        else:
            put(f"{pad}<{child.name}{stated}/>")
