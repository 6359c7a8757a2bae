"""Contained resources: what is indexed of them beside their container, and what finds them.

A container keeps the index entries of each in `con`; a resource that contains nothing has no such field and is in no
index by it. Only the search parameters of R4 are looked at: one that a tenant adds is made for the resources it names.
https://hl7.org/fhir/R4/search.html#contained
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fhir_server.fhir.outcome import not_supported
from fhir_server.fhir.resource import Resource
from fhir_server.search.blinding import Blinding
from fhir_server.search.index import index
from fhir_server.search.match import matches
from fhir_server.search.own import R4
from fhir_server.search.plan import criteria
from fhir_server.search.query import Criterion, Query
from fhir_server.search.registry import in_force
from fhir_server.search.term import Filter, all_of
from fhir_server.search.types import words

FIELD: Final = "con"
UNKEPT: Final = frozenset({"cmp", "d"})
"""A contained resource is in the compartments of its container, and in the order of containers."""


def entries(resource: Resource, *, worded: bool, blinding: Blinding | None) -> list[dict[str, Any]]:
    """What each contained resource is found by; none for most resources."""
    return [_entry(each, worded, blinding) for each in resource.get("contained", ())]


def _entry(resource: Resource, worded: bool, blinding: Blinding | None) -> dict[str, Any]:
    """Its type is among its tokens too, so that there is always one to enter the index with."""
    resource_type = resource["resourceType"]
    found = index(resource, added=R4, blinding=blinding).as_document()
    kept = {name: value for name, value in found.items() if value and name not in UNKEPT}
    kept["tok"] = [resource_type, *found["tok"]]
    if worded:
        kept[words.FIELD] = words.entries(resource)
    return {"rt": resource_type, "id": resource.get("id"), **kept}


def wanted(query: Query, types: Sequence[str]) -> Filter:
    """What is asked of the entries of one contained resource, which is of one of the types."""
    own: Filter = {"rt": types[0] if len(types) == 1 else {"$in": list(types)}}
    asked = criteria(query)
    if not any(each.term.points for each in query.criteria):
        # Not more selective than any other condition, but the only one that can enter the index.
        own["tok"] = own["rt"]
    return all_of([own, asked])


def places(resource: Resource, asked: Filter, *, worded: bool, blinding: Blinding | None) -> list[int]:
    """Where the contained resources are that match."""
    held = entries(resource, worded=worded, blinding=blinding)
    return [number for number, each in enumerate(held) if matches(each, asked)]


def checked(query: Query) -> Query:
    """The query, if all of it can be asked of contained resources."""
    if query.contained != "false":
        for said, found in _REFUSED.items():
            if found(query):
                raise not_supported(f"{said} cannot be combined with _contained={query.contained}.")
    return query


def _all(criteria: Sequence[Criterion]) -> Iterator[Criterion]:
    for each in criteria:
        yield each
        yield from _all(each.logic.parts if each.logic else ())


def _referred_to(query: Query) -> bool:
    """Nothing but its container refers to a contained resource. https://hl7.org/fhir/R4/references.html#contained"""
    return any(each.join is not None and each.join.reverse for each in _all(query.criteria))


def _added(query: Query) -> bool:
    urls = {each.url for each in in_force().definitions}
    return any(each.parameter.url in urls for each in _all(query.criteria) if not each.join)


_REFUSED: Mapping[str, Any] = {
    "_sort": lambda query: bool(query.sort),
    "_include or _revinclude": lambda query: bool(query.includes),
    "_explain": lambda query: query.explain,
    "_has or _list": _referred_to,
    "A search parameter that the tenant has added": _added,
}
"""What has no meaning for contained resources, or is not answered, by name."""
