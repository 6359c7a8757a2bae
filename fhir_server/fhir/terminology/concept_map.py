"""What a code becomes by a concept map, in either direction.  https://hl7.org/fhir/R4/conceptmap.html"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fhir_server.fhir.outcome import error, not_supported
from fhir_server.fhir.resource import Resource

NO_MATCH = frozenset({"unmatched", "disjoint"})
"""Statements that there is none. https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html"""

_REVERSED = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}

MapLookup = Callable[[str], Resource | None]


@dataclass(frozen=True, slots=True)
class Match:
    """One target; without a code where the map says that there is none."""

    equivalence: str
    source: str
    """Canonical URL of the map that says so."""
    system: str | None = None
    code: str | None = None
    display: str | None = None
    version: str | None = None

    @property
    def matches(self) -> bool:
        return self.equivalence not in NO_MATCH and self.code is not None


def translate(concept_map: Resource, system: str | None, code: str, other: MapLookup) -> list[Match]:
    """The targets of a code; a system that is not given is any. `other` finds maps that stand in for this one."""
    return list(_translated(concept_map, system, code, other, ()))


def reverse(concept_map: Resource, system: str | None, code: str) -> list[Match]:
    """The sources that have a code as their target."""
    return [
        _source(concept_map, group, element, target)
        for group in concept_map.get("group", ())
        if system is None or group.get("target") == system
        for element, target in _pairs(group)
        if target.get("code") == code
    ]


def _source(concept_map: Resource, group: Resource, element: Resource, target: Resource) -> Match:
    stated: str = target["equivalence"]
    url, version = concept_map.get("url", ""), group.get("sourceVersion")
    return Match(
        _REVERSED.get(stated, stated), url, group.get("source"), element["code"], element.get("display"), version
    )


def _pairs(group: Resource) -> Iterator[tuple[Resource, Resource]]:
    """What is mapped and to what, where it depends on nothing else."""
    for element in group.get("element", ()):
        for target in element.get("target", ()):
            if "code" in element:
                yield element, target


def _translated(
    concept_map: Resource, system: str | None, code: str, other: MapLookup, above: tuple[str, ...]
) -> Iterator[Match]:
    url: str = concept_map.get("url", "")
    if url in above:
        raise error("processing", f"The concept maps lead in a circle: {' > '.join((*above, url))}.")
    for group in concept_map.get("group", ()):
        if system is not None and group.get("source") != system:
            continue
        element = next((each for each in group.get("element", ()) if each.get("code") == code), None)
        if element is not None:
            yield from _targets(group, element, url)
        elif "unmapped" in group:
            yield from _unmapped(group, code, url) or _elsewhere(group, system, code, other, (*above, url))


def _targets(group: Resource, element: Resource, url: str) -> Iterator[Match]:
    version = group.get("targetVersion")
    for target in element.get("target", ()):
        if target.get("dependsOn"):
            raise not_supported(
                f"What '{element['code']}' becomes depends on other elements, which is not supported for {url}."
            )
        yield Match(target["equivalence"], url, group.get("target"), target.get("code"), target.get("display"), version)


def _unmapped(group: Resource, code: str, url: str) -> list[Match]:
    """https://hl7.org/fhir/R4/valueset-conceptmap-unmapped-mode.html"""
    unmapped = group["unmapped"]
    if unmapped["mode"] == "provided":
        return [Match("equal", url, group.get("target"), code)]
    if unmapped["mode"] == "fixed":
        return [Match("inexact", url, group.get("target"), unmapped.get("code"), unmapped.get("display"))]
    return []


def _elsewhere(
    group: Resource, system: str | None, code: str, other: MapLookup, above: tuple[str, ...]
) -> Iterator[Match]:
    named = group["unmapped"].get("url")
    found = other(named) if named else None
    if found is None:
        raise error("not-found", f"The concept map {named} that {above[-1]} continues with is not known here.")
    yield from _translated(found, system, code, other, above)
