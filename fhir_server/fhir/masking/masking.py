"""A resource gone through beside its definitions, each element by its rule, so that the copy is a valid one again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Final, get_args

from fhir_server.fhir.definitions import Element, codes, structure
from fhir_server.fhir.masking.actions import ON_COMPLEX, ON_PRIMITIVES, About, Style, in_place
from fhir_server.fhir.masking.project import Project
from fhir_server.fhir.masking.rules import rules
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.plans import type_path
from fhir_server.fhir.primitives import PRIMITIVE_TYPES
from fhir_server.fhir.references import unused
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.validate import check

LABEL: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "PSEUDED"}
"""What `meta.security` says of every copy. https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html"""

ABSENT: Final = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}
"""What stands in an element that must be there and of which nothing may be known."""

Pair = tuple[Any, Any]
"""A value and what stands beside it, each None where there is none."""


class Unmaskable(Exception):
    """No copy of this resource is both valid and free of what identifies somebody."""


def masked(resource: Resource, project: Project, year: int) -> Resource:
    """The copy. What is dropped is left out, if R4 allows that; else a word stands there, or words that differ."""
    refusal: FhirError | None = None
    for style in get_args(Style):
        about = About(project, year, style, resource["resourceType"], resource.get("id", ""))
        copy = labelled(_tidied(_resource(resource, about)))
        try:
            check(copy)
        except FhirError as problem:
            refusal = problem
        else:
            return copy
    raise Unmaskable(str(refusal))


def _tidied(copy: Resource) -> Resource:
    """Without what is contained and no longer referred to (dom-3): only a text or an extension that is gone did."""
    while gone := set(unused(copy)):
        left = [each for each in copy["contained"] if each.get("id") not in gone]
        rest = {name: value for name, value in copy.items() if name != "contained"}
        copy = {**rest, "contained": left} if left else rest
    return copy


def labelled(resource: Resource) -> Resource:
    meta = resource.get("meta", {})
    marked = {**meta, "security": [*meta.get("security", ()), LABEL]}
    rest = {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}
    known = {"id": resource["id"]} if "id" in resource else {}
    return {"resourceType": resource["resourceType"], **known, "meta": marked, **rest}


def _resource(resource: Resource, about: About) -> Resource:
    inside = replace(about, resource_type=resource["resourceType"], resource_id=resource.get("id", about.resource_id))
    copy = _children(resource, resource["resourceType"], inside)
    if "id" not in resource:
        return copy
    project, name = about.project, resource["id"]
    other = project.name(name) if about.is_contained else project.resource_id(resource["resourceType"], name)
    return {"resourceType": resource["resourceType"], "id": other, **copy}


@cache
def _elements(path: str) -> Mapping[str, tuple[Element, str]]:
    """The children of a path by their JSON name, with the type that the name stands for."""
    listed = structure(path.partition(".")[0]).elements.get(path, ())
    return MappingProxyType({name: (each, kind) for each in listed for name, kind in each.json_names()})


def _children(parent: Resource, path: str, about: About) -> Resource:
    copy: Resource = {"resourceType": parent["resourceType"]} if "resourceType" in parent else {}
    for name in dict.fromkeys(each.removeprefix("_") for each in parent):
        if name == "resourceType" or (name == "id" and "resourceType" in parent):
            continue
        if name in _elements(path):  # What R4 does not know has no rule, and goes.
            copy.update(_element(*_elements(path)[name], name, parent, about))
    return copy


def _element(element: Element, type_name: str, name: str, parent: Resource, about: About) -> Iterator[tuple[str, Any]]:
    """The element under its name, and what stands beside it; nothing where it goes."""
    value, beside = parent.get(name), parent.get(f"_{name}")
    if not element.many:
        pairs = [_one(element, type_name, value, beside, about)]
    else:
        every = zip_longest(value or (), beside or ())
        pairs = [pair for each in every if (pair := _one(element, type_name, *each, about)) != (None, None)]
    if element.min and not any(pair != (None, None) for pair in pairs):
        pairs = [_required(element, type_name, about)]
    for key, at in ((name, 0), (f"_{name}", 1)):
        found = [pair[at] for pair in pairs]
        if any(each is not None for each in found):
            yield key, found if element.many else found[0]


def _one(element: Element, type_name: str, value: Any, beside: Any, about: About) -> Pair:
    rule = rules().of(element, type_name)
    if type_name in PRIMITIVE_TYPES:
        return _primitive(type_name, rule, value, about), _beside(beside, about)
    if rule == "remove" or value is None:
        return None, None
    if rule == "drop":
        return (None if about.style == "drop" else _filled(element, type_name, about)), None
    copy = _complex(element, type_name, rule, value, about)
    if not copy and about.style != "drop" and rule != "extension":
        copy = _filled(element, type_name, about)
    return copy or None, None


def _primitive(type_name: str, rule: str, value: Any, about: About) -> Any:
    if value is None:
        return None
    found = ON_PRIMITIVES[rule](value, about)
    if found is None and rule != "remove" and about.style != "drop":
        return in_place(type_name, value, about)
    return found


def _beside(beside: Any, about: About) -> Resource | None:
    """Beside a primitive: only extensions that may stay."""
    return (_children(beside, "Element", about) or None) if beside else None


def _complex(element: Element, type_name: str, rule: str, value: Resource, about: About) -> Resource:
    if rule == "resource":
        return _resource(value, replace(about, is_contained=element.name == "contained"))
    if rule == "extension":
        return _extension(value, about)
    copy = _children(value, type_path(element, type_name).partition(">")[0], about)
    return ON_COMPLEX[rule](copy, value) if rule in ON_COMPLEX else copy


def _extension(value: Resource, about: About) -> Resource:
    """One that may stay, if anything is left of it; those inside it have names of their own."""
    url = value.get("url", "")
    if not (url.isalpha() if about.in_extension else url in rules().extensions):
        return {}
    inner = {name: each for name, each in value.items() if name not in ("url", "id")}
    copy = _children(inner, "Extension", replace(about, style="drop", in_extension=True))
    return {"url": url, **copy} if copy else {}


def _required(element: Element, type_name: str, about: About) -> Pair:
    """In the place of an element that must be there."""
    if type_name == "code" and element.binding and (allowed := codes(element.binding.value_set)):
        return min(allowed), None
    if type_name in PRIMITIVE_TYPES:
        return in_place(type_name, element.path, about), None
    return _filled(element, type_name, about), None


def _filled(element: Element, type_name: str, about: About) -> Resource:
    """With what must be in it; with nothing but the reason for that where nothing must be."""
    path = type_path(element, type_name).partition(">")[0]
    found: Resource = {}
    for name, (each, kind) in _elements(path).items():
        if each.min and not each.choice:
            value, _ = _required(each, kind, about)
            found[name] = [value] if each.many else value
    return found or {"extension": [ABSENT]}
