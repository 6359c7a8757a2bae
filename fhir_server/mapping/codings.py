"""Which of the concepts of a resource have a code that others know, and which only words.

https://hl7.org/fhir/R4/datatypes.html#CodeableConcept"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fhir_server.mapping.elements import Place, UnknownElement, root
from fhir_server.mapping.features import is_feature

CODED, WORDS = "coded", "text"
_TABLES: dict[str, dict[str, Place | None]] = {}
"""By path, the elements below: a resource type has some hundred, and they are asked for with every resource."""


def concepts(resource: Mapping[str, Any], local: str) -> list[str]:
    """`path coded` or `path text` for each; codes of systems that start with `local` are words."""
    found: list[str] = []
    if not is_feature(resource["resourceType"]):
        _collect(resource, _root(resource["resourceType"]), local, found)
    return found


_root = lru_cache(maxsize=256)(root)


def _collect(value: Mapping[str, Any], place: Place, local: str, into: list[str]) -> None:
    table = _TABLES.setdefault(place.path, {})
    for name, found in value.items():
        if found.__class__ is not dict and found.__class__ is not list:
            continue
        child = table[name] if name in table else table.setdefault(name, _child(place, name))
        if child is None:
            continue
        for each in found if isinstance(found, list) else (found,):
            if not isinstance(each, dict):
                continue
            if child.type == "CodeableConcept":
                into.append(f"{child.path} {CODED if _is_coded(each, local) else WORDS}")
            else:
                _collect(each, child, local, into)


def _child(place: Place, name: str) -> Place | None:
    try:
        return place.child(name)
    except UnknownElement:  # `resourceType`, and extensions of primitives (`_birthDate`).
        return None


def _is_coded(concept: Mapping[str, Any], local: str) -> bool:
    return any("code" in each and not each.get("system", local).startswith(local) for each in concept.get("coding", ()))
