"""The code tables of `mappings/maps/` as ConceptMap resources: what a legacy value became can be asked of the server.

https://hl7.org/fhir/R4/conceptmap.html
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.fhir import definitions
from fhir_server.fhir.resource import Resource
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.maps import SAME, ConceptMap, Target

COMMENTED = frozenset({"narrower", "inexact"})
"""Equivalences that say why (cmd-1). https://hl7.org/fhir/R4/conceptmap.html#invs"""

COMMENT = "The source value and this code do not mean exactly the same."


def resources(catalogue: Catalogue) -> Iterator[Resource]:
    """One for each map, in the order of their names."""
    for name in sorted(catalogue.maps):
        yield resource(catalogue.maps[name], catalogue.base)


def resource(concept_map: ConceptMap, base: str) -> Resource:
    groups: dict[str, list[Resource]] = {}
    bound = _bound(concept_map)
    for code, target in concept_map.rows.items():
        element = {"code": code, "target": [_target(target.of(code))]}
        groups.setdefault(_system(target, bound), []).append(element)
    listed = [_group(concept_map.local, system, elements) for system, elements in groups.items()]
    if len(listed) == 1 and concept_map.other is not None:
        listed[0] |= _unmapped(concept_map.other, next(iter(groups)), bound)
    return {
        "resourceType": "ConceptMap",
        "id": concept_map.name,
        "url": f"{base}/ConceptMap/{concept_map.name}",
        "name": concept_map.name,
        "title": concept_map.title,
        "status": "active",
        **({"group": listed} if listed else {}),
    }


def _group(source: str, system: str, elements: list[Resource]) -> Resource:
    return {"source": source, **({"target": system} if system else {}), "element": elements}


def _target(target: Target) -> Resource:
    if target.code is None:
        return {"equivalence": target.equivalence}
    display = target.coding.get("display") if target.coding else None
    return {
        "code": _text(target.coding["code"] if target.coding else target.code),
        **({"display": display} if display else {}),
        "equivalence": target.equivalence,
        **({"comment": COMMENT} if target.equivalence in COMMENTED else {}),
    }


def _unmapped(other: Target, system: str, bound: str) -> Resource:
    """What every other value becomes, where it is of the same system. https://hl7.org/fhir/R4/conceptmap.html#unmapped"""
    if other.code is None or _system(other, bound) != system:
        return {}
    if other.coding and other.coding["code"] == SAME:
        return {"unmapped": {"mode": "provided"}}
    return {"unmapped": {"mode": "fixed", "code": _target(other)["code"]}}


def _text(code: str | bool) -> str:
    return str(code).lower() if isinstance(code, bool) else code


def _system(target: Target, bound: str) -> str:
    """The code system of a target; a bare code is of the one that its element is bound to, if there is one."""
    if target.coding:
        return target.coding["system"]
    return bound if isinstance(target.code, str) else ""


def _bound(concept_map: ConceptMap) -> str:
    """The only code system that the elements of a map take their codes from; empty where there is none or several."""
    found = {system for path in concept_map.targets for system in _systems(path)}
    return found.pop() if len(found) == 1 else ""


def _systems(path: str) -> set[str]:
    resource_type, parent = path.partition(".")[0], path.rpartition(".")[0]
    if resource_type not in definitions.resource_types():
        return set()
    for element in definitions.structure(resource_type).elements.get(parent, ()):
        if element.path == path and element.binding:
            return {system for system, _ in definitions.codings(element.binding.value_set) or ()}
    return set()
