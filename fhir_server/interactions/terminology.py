"""Code systems, value sets and concept maps as one caller can look them up: the tenant's own before the shipped ones.

What the caller may not see is not there; what has no version asked for is the active one with the highest.
https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError, too_costly
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology import code_system as systems
from fhir_server.fhir.terminology import need, shipped
from fhir_server.fhir.terminology import value_set as sets
from fhir_server.fhir.terminology.code_system import CodeSystem
from fhir_server.fhir.terminology.need import Need, Needs
from fhir_server.fhir.terminology.value_set import (
    MAX_CODES,
    MAX_IMPORTS,
    Known,
    Member,
    canonical,
    expand,
    imports,
    parts,
)
from fhir_server.fhir.version import Version
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.types.string import folded
from fhir_server.store.repository import Repository

_ESCAPED: Final = re.compile(r"([\\,|$])")
MOST: Final = 100
"""Resources of one canonical URL, or maps of one system, that are looked at."""


@dataclass(slots=True)
class _Gathering:
    """What one question needs, collected by following the imports of a value set."""

    needs: Needs = field(default_factory=dict)
    versions: set[tuple[str, str | None]] = field(default_factory=set)
    """Code systems with the versions that are asked for."""
    sets: dict[tuple[str, str | None], Resource | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terminology:
    repo: Repository

    async def value_set(self, url: str, version: str | None = None) -> Resource | None:
        return await self.resource("ValueSet", url, version) or shipped.value_set(url, version)

    async def concept_map(self, url: str, version: str | None = None) -> Resource | None:
        return await self.resource("ConceptMap", url, version) or shipped.concept_map(url, version)

    async def concept_maps(self, code_systems: set[str], *, backwards: bool) -> list[Resource]:
        """Every concept map from one of these code systems, or to one of them."""
        parameter = "target-system" if backwards else "source-system"
        written = ",".join(_ESCAPED.sub(r"\\\1", each) for each in sorted(code_systems))
        own = [each for _, each in await self._search("ConceptMap", parameter, written)]
        overlaid = {each.get("url") for each in own}
        found = [
            url
            for url, about in shipped.concept_maps().items()
            if url not in overlaid and not code_systems.isdisjoint(about.targets if backwards else about.systems)
        ]
        return [*own, *(each for each in map(shipped.concept_map, found) if each)]

    async def code_system(
        self, url: str, version: str | None = None, wanted: Need | None = None, text: str | None = None
    ) -> CodeSystem | None:
        """With the concepts that are wanted, at least; all of them where it is not said which."""
        found = await self.resource("CodeSystem", url, version)
        if found is None:
            return shipped.code_system(url, version)
        return await self.concepts_of(found, wanted, text)

    async def concepts_of(self, found: Resource, wanted: Need | None = None, text: str | None = None) -> CodeSystem:
        """Those in the resource, or those that were loaded for it."""
        if not found.get("concept"):
            those = await self.repo.concepts.those(
                found.get("url", ""), found.get("version"), wanted or Need(all=True), text
            )
            if those is not None:
                loaded, concepts = those
                return systems.of_concepts({**found, "content": loaded.content}, concepts)
        return systems.read(found)

    async def expanded(
        self, of: Resource, *, text: str = "", active_only: bool = False, most: int = MAX_CODES
    ) -> list[Member]:
        """Every code of a value set, or those that a text filter finds."""
        plain = folded(text)
        known = await self._known(of, need.to_list, plain or None)
        found = expand(of, known, most=most, active_only=active_only)
        return [each for each in found if has_text(plain, each)] if plain else found

    async def find(self, of: Resource, system: str, code: str) -> Member | None:
        """The code if it is in the value set."""
        return (await self.finding(of, {system: [code]}))(system, code)

    async def finding(self, of: Resource, codes: dict[str, list[str]]) -> Callable[[str, str], Member | None]:
        """A test of these codes, by system."""
        gathering = _Gathering({system: Need(codes=set(listed)) for system, listed in codes.items()})
        known = await self._known(of, need.to_find, None, gathering)
        return lambda system, code: sets.find(of, known, system, code)

    async def _known(
        self,
        of: Resource,
        needed: Callable[[Resource, Needs], None],
        text: str | None,
        gathering: _Gathering | None = None,
    ) -> Known:
        """Everything that the value set leads to."""
        found = gathering or _Gathering()
        waiting = [of]
        while waiting:
            current = waiting.pop()
            needed(current, found.needs)
            found.versions |= {(each["system"], each.get("version")) for each in parts(current) if "system" in each}
            waiting += await self._imported(current, found)
        known: dict[tuple[str, str | None], CodeSystem | None] = {}
        for url, version in sorted(found.versions, key=str):
            known[url, version] = await self.code_system(url, version, found.needs[url], text)
        return Known(
            lambda url, version: known.get((url, version)), lambda url, version: found.sets.get((url, version))
        )

    async def _imported(self, current: Resource, found: _Gathering) -> list[Resource]:
        """The value sets that it imports and that were not seen before."""
        new: list[Resource] = []
        for each in sorted(imports(current)):
            key = canonical(each)
            if key not in found.sets:
                imported = found.sets[key] = await self.value_set(*key)
                new += [imported] if imported else []
        if len(found.sets) > MAX_IMPORTS:
            raise too_costly(f"The value set imports more than {MAX_IMPORTS} others.")
        return new

    async def resource(self, resource_type: str, url: str, version: str | None) -> Resource | None:
        """The tenant's own."""
        found = await self._search(resource_type, "url", _ESCAPED.sub(r"\\\1", url))
        fit = [each for each in found if version in (None, each[1].get("version")) and _whole(each[1])]
        return max(fit, key=_newest)[1] if fit else None

    async def _search(self, resource_type: str, parameter: str, value: str) -> list[tuple[Version, Resource]]:
        """The tenant's, where the caller may search them."""
        if not self._may_search(resource_type):
            return []
        query = parse((resource_type,), [(parameter, value), ("_count", str(MOST))], lenient=False, base="")
        page = await self.repo.search(plan(query))
        if page.next is not None:
            raise too_costly(f"More than {MOST} resources {resource_type} have the {parameter} {value}.")
        return [(each, each.resource()) for each in page.versions]

    def _may_search(self, resource_type: str) -> bool:
        try:
            restriction(self.repo.caller, resource_type, Right.SEARCH)
        except FhirError:
            return False
        return True


def _whole(resource: Resource) -> bool:
    """A supplement adds to a code system of another URL and is none itself."""
    return bool(resource.get("content") != "supplement")


def _newest(found: tuple[Version, Resource]) -> tuple[Any, ...]:
    version, resource = found
    numbers = [int(each) for each in re.findall(r"\d{1,18}", resource.get("version", ""))]
    return resource.get("status") == "active", numbers, version.last_updated


def has_text(plain: str, member: Member) -> bool:
    """Whether a folded text is in the code, the display or a designation."""
    return any(plain in each for each in searched(member.code, member.display, member.designations))


def searched(code: str, display: str | None, designations: tuple[Resource, ...]) -> tuple[str, ...]:
    """What a text filter looks through."""
    texts = (code, display, *(each.get("value") for each in designations))
    return tuple(dict.fromkeys(folded(each) for each in texts if each))
