"""Parts of resources: `_summary` and `_elements`.  https://hl7.org/fhir/R4/search.html#summary

What is left out makes the resource incomplete, so it is tagged SUBSETTED; mandatory elements always stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fhir_server.fhir import definitions, json
from fhir_server.fhir.definitions import Element
from fhir_server.fhir.resource import Resource
from fhir_server.search.query import Query
from fhir_server.search.routes import INLINE

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}
ALWAYS = frozenset({"resourceType", "id", "meta"})


def shaped(body: bytes, query: Query) -> bytes:
    """The JSON of a resource with only what the query asks to see."""
    if not query.shaped:
        return body
    resource = json.trusted(body)
    kept = _named(resource, query.elements) if query.elements else _SUMMARIES[query.summary or "false"](resource)
    return json.encode(_tagged(kept))


def _tagged(resource: Resource) -> Resource:
    """https://hl7.org/fhir/R4/resource.html#Meta: tags"""
    meta = resource.get("meta", {})
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") != SUBSETTED["code"]]
    first: Resource = {name: value for name, value in resource.items() if name in ("resourceType", "id")}
    rest = {name: value for name, value in resource.items() if name not in ALWAYS}
    return {**first, "meta": {**meta, "tag": [*tags, SUBSETTED]}, **rest}


def _named(resource: Resource, names: tuple[str, ...]) -> Resource:
    """https://hl7.org/fhir/R4/search.html#elements"""
    own = resource["resourceType"]
    return _only(resource, lambda element: element.name in names or element.min > 0, _properties(own, own))


def _text(resource: Resource) -> Resource:
    """Only the text, the id, the meta and mandatory elements."""
    return _named(resource, ("text",))


def _data(resource: Resource) -> Resource:
    """Everything but the text."""
    return {name: value for name, value in resource.items() if name != "text"}


def _true(resource: Resource) -> Resource:
    """The elements marked as summary, and the mandatory ones, at every depth."""
    own = resource["resourceType"]
    summarised: Resource = _summarised(resource, own, own)
    return {**summarised, "meta": resource.get("meta", {})}


_SUMMARIES: dict[str, Callable[[Resource], Resource]] = {"true": _true, "text": _text, "data": _data}


def _only(value: Resource, wanted: Callable[[Element], bool], known: Mapping[str, Any]) -> Resource:
    return {
        name: found
        for name, found in value.items()
        if name in ALWAYS or ((place := known.get(name.removeprefix("_"))) and wanted(place[0]))
    }


@cache
def _properties(structure: str, path: str) -> Mapping[str, tuple[Element, str, str]]:
    """By JSON property: the element, and the structure and path that define its children."""
    found = {}
    for element in definitions.structure(structure).elements.get(path, ()):
        for key, type_name in element.json_names():
            inline = type_name in INLINE
            found[key] = (
                (element, structure, element.content or element.path) if inline else (element, type_name, type_name)
            )
    return found


def _summarised(value: Any, structure: str, path: str) -> Any:
    if isinstance(value, list):
        return [_summarised(each, structure, path) for each in value]
    if not isinstance(value, dict):
        return value
    known = _properties(structure, path)
    kept = _only(value, lambda element: element.summary or element.min > 0, known)
    return {name: _inside(found, known.get(name)) for name, found in kept.items()}


def _inside(value: Any, place: tuple[Element, str, str] | None) -> Any:
    """Contained resources and the like, whose type is only known from themselves, are kept whole."""
    if place is None or place[1] in ("Resource", "Extension"):
        return value
    return _summarised(value, place[1], place[2])
