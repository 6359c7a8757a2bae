"""Which of the concepts of a resource have a code that others know, and which only words.

https://hl7.org/fhir/R4/datatypes.html#CodeableConcept"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.mapping.elements import Place, UnknownElement, root
from fhir_server.mapping.features import is_feature

CODED, WORDS = "coded", "text"
_PLACES: dict[tuple[str, str], Place | None] = {}
"""By path and name: a resource type has some hundred, and they are asked for with every resource."""


def concepts(resource: Mapping[str, Any], local: str) -> Iterator[str]:
    """`path coded` or `path text` for each; codes of systems that start with `local` are words."""
    if not is_feature(resource["resourceType"]):
        yield from _below(resource, _root(resource["resourceType"]), local)


_root = lru_cache(maxsize=256)(root)


def _below(value: Mapping[str, Any], place: Place, local: str) -> Iterator[str]:
    for name, found in value.items():
        if found.__class__ not in (dict, list):
            continue
        child = _child(place, name)
        if child is None:
            continue
        for each in found if isinstance(found, list) else (found,):
            if not isinstance(each, dict):
                continue
            if child.type == "CodeableConcept":
                yield f"{child.path} {CODED if _is_coded(each, local) else WORDS}"
            else:
                yield from _below(each, child, local)


def _child(place: Place, name: str) -> Place | None:
    at = (place.path, name)
    if at not in _PLACES:
        try:
            _PLACES[at] = place.child(name)
        except UnknownElement:  # `resourceType`, and extensions of primitives (`_birthDate`).
            _PLACES[at] = None
    return _PLACES[at]


def _is_coded(concept: Mapping[str, Any], local: str) -> bool:
    return any("code" in each and not each.get("system", local).startswith(local) for each in concept.get("coding", ()))
