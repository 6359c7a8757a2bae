"""The codes of a value set, and whether a code is among them.  https://hl7.org/fhir/R4/valueset.html#compose

A code system that is not known, or of which only a part is, is an error wherever the answer would depend on the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from fhir_server.fhir.outcome import FhirError, error, not_supported, too_costly
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import CodeSystem, Concept
from fhir_server.fhir.terminology.filters import Keep, condition

MAX_CODES = 10_000
"""Codes that an expansion may have."""

MAX_IMPORTS = 100
"""Value sets that may be imported, one by the other."""


@dataclass(frozen=True, slots=True)
class Member:
    """A code of a value set, with what is known about it."""

    system: str
    code: str
    display: str | None = None
    version: str | None = None
    designations: tuple[Resource, ...] = ()
    definition: str | None = None
    abstract: bool = False
    inactive: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.system, self.code


@dataclass(frozen=True, slots=True)
class Known:
    """Where code systems and value sets are looked up by URL and, if it matters, version; None where there is none."""

    code_system: Callable[[str, str | None], CodeSystem | None]
    value_set: Callable[[str, str | None], Resource | None]


def canonical(text: str) -> tuple[str, str | None]:
    """URL and version. https://hl7.org/fhir/R4/references.html#canonical"""
    url, _, version = text.partition("|")
    return url, version or None


def expand(value_set: Resource, known: Known, *, most: int = MAX_CODES, active_only: bool = False) -> list[Member]:
    """Every code of a value set in the order in which it states them, each once."""
    return list(_Reading(known, most, active_only).members(value_set).values())


def find(value_set: Resource, known: Known, system: str, code: str) -> Member | None:
    """The code if it is in the value set, found without writing the value set out."""
    return _Reading(known, MAX_CODES, False).find(value_set, system, code)


def systems(value_set: Resource) -> set[str]:
    """The code systems that its own content speaks of."""
    return {each["system"] for each in _parts(value_set) if "system" in each}


def imports(value_set: Resource) -> set[str]:
    """Canonical URLs of the value sets that it takes codes from."""
    return {url for each in _parts(value_set) for url in each.get("valueSet", ())}


def _parts(value_set: Resource) -> Iterator[Resource]:
    compose = value_set.get("compose", {})
    yield from compose.get("include", ())
    yield from compose.get("exclude", ())


def name_of(value_set: Resource) -> str:
    return value_set.get("url") or value_set.get("id") or "without a URL"


@dataclass(frozen=True, slots=True)
class _Reading:
    """One question; `above` are the value sets on the way, none of which may come again."""

    known: Known
    most: int
    active_only: bool
    above: tuple[str, ...] = field(default=())

    def members(self, value_set: Resource) -> dict[tuple[str, str], Member]:
        if "compose" not in value_set:
            return {each.key: each for each in _written_out(value_set)}
        inside = self._entered(value_set)
        compose = value_set["compose"]
        outside = [partial(inside._among, each) for each in compose.get("exclude", ())]
        found: dict[tuple[str, str], Member] = {}
        for member in inside._included(compose):
            if member.key not in found and not any(has(*member.key) for has in outside):
                found[member.key] = member
                if len(found) > self.most:
                    raise too_costly(f"The value set {name_of(value_set)} has more than {self.most:,} codes.")
        return found

    def _included(self, compose: Resource) -> Iterator[Member]:
        active = self.active_only or compose.get("inactive") is False
        for include in compose.get("include", ()):
            yield from (each for each in self._chosen(include) if not (active and each.inactive))

    def find(self, value_set: Resource, system: str, code: str) -> Member | None:
        if "compose" not in value_set:
            return next((each for each in _written_out(value_set) if each.key == (system, code)), None)
        inside, compose = self._entered(value_set), value_set["compose"]
        found = _first(inside._among(each, system, code) for each in compose.get("include", ()))
        if found is None or (found.inactive and compose.get("inactive") is False):
            return None
        return None if any(inside._among(each, system, code) for each in compose.get("exclude", ())) else found

    def _entered(self, value_set: Resource) -> _Reading:
        name = name_of(value_set)
        if name in self.above:
            raise error("processing", f"The value set {name} includes itself: {' > '.join((*self.above, name))}.")
        if len(self.above) >= MAX_IMPORTS:
            raise too_costly(f"Value sets import each other more than {MAX_IMPORTS} deep.")
        return replace(self, above=(*self.above, name))

    def _chosen(self, include: Resource) -> Iterator[Member]:
        """Everything that one include states must hold at once."""
        sets = [self._import(each) for each in include.get("valueSet", ())]
        if "system" in include:
            within = [partial(self.find, each) for each in sets]
            yield from (each for each in self._of_system(include) if all(has(*each.key) for has in within))
        elif sets:
            first, *others = sets
            for member in self.members(first).values():
                if all(self.find(each, *member.key) for each in others):
                    yield member

    def _among(self, include: Resource, system: str, code: str) -> Member | None:
        """The code if one include, or exclude, speaks of it."""
        found: Member | None = None
        if "system" in include:
            if include["system"] != system:
                return None
            found = self._in_system(include, code)
            if found is None:
                return None
        for url in include.get("valueSet", ()):
            imported = self.find(self._import(url), system, code)
            if imported is None:
                return None
            found = found or imported
        return found

    def _import(self, text: str) -> Resource:
        found = self.known.value_set(*canonical(text))
        if found is None:
            raise unknown_value_set(text)
        return found

    def _of_system(self, include: Resource) -> Iterator[Member]:
        if "concept" in include:
            system = self.known.code_system(include["system"], include.get("version"))
            yield from (_listed(include, each, system) for each in include["concept"])
            return
        system = self._system(include)
        if not system.whole:
            raise not_supported(
                f"The code system {system.url} is not here as a whole (its content is '{system.content}'), "
                "so its codes cannot be listed."
            )
        keep = _conditions(system, include)
        yield from (_member(system, each) for each in system.concepts.values() if all(test(each) for test in keep))

    def _in_system(self, include: Resource, code: str) -> Member | None:
        if "concept" in include:
            return self._in_list(include, code)
        system = self._system(include)
        concept = system.find(code)
        if concept is None:
            if system.whole:
                return None
            raise not_supported(
                f"Whether '{code}' is a code of {system.url} is not known: the content here is '{system.content}'."
            )
        return _member(system, concept) if all(test(concept) for test in _conditions(system, include)) else None

    def _in_list(self, include: Resource, code: str) -> Member | None:
        system = self.known.code_system(include["system"], include.get("version"))
        same = code.casefold() if system and not system.case_sensitive else code
        for each in include["concept"]:
            if same == (each["code"].casefold() if system and not system.case_sensitive else each["code"]):
                return _listed(include, each, system)
        return None

    def _system(self, include: Resource) -> CodeSystem:
        found = self.known.code_system(include["system"], include.get("version"))
        if found is None:
            raise unknown_system(include["system"], include.get("version"))
        return found


def _conditions(system: CodeSystem, include: Resource) -> list[Keep]:
    return [condition(system, each) for each in include.get("filter", ())]


def _member(system: CodeSystem, concept: Concept) -> Member:
    return Member(
        system.url,
        concept.code,
        concept.display,
        system.version,
        concept.designations,
        concept.definition,
        concept.abstract,
        concept.inactive,
    )


def _listed(include: Resource, row: Resource, system: CodeSystem | None) -> Member:
    """A code that the value set names, with its own display before that of the system."""
    concept = system.find(row["code"]) if system else None
    if system is None or concept is None:
        return Member(
            include["system"],
            row["code"],
            row.get("display"),
            include.get("version"),
            tuple(row.get("designation", ())),
        )
    found = _member(system, concept)
    designations = (*row.get("designation", ()), *found.designations)
    return replace(found, display=row.get("display") or found.display, designations=designations)


def _written_out(value_set: Resource) -> Iterator[Member]:
    """The codes of a value set that is defined by nothing but its expansion, if that is all of it."""
    expansion = value_set.get("expansion")
    if expansion is None:
        raise not_supported(f"The value set {name_of(value_set)} does not say which codes it has.")
    waiting: list[Resource] = list(reversed(expansion.get("contains", ())))
    found: list[Member] = []
    listed = 0
    while waiting:
        row = waiting.pop()
        listed += 1
        waiting += reversed(row.get("contains", ()))
        if "code" in row and "system" in row and not row.get("abstract"):
            inactive = row.get("inactive", False)
            found.append(Member(row["system"], row["code"], row.get("display"), row.get("version"), inactive=inactive))
    if expansion.get("offset") or expansion.get("total", listed) > listed:
        raise not_supported(f"The value set {name_of(value_set)} has only a part of its expansion.")
    yield from found


def _first(found: Iterable[Member | None]) -> Member | None:
    return next((each for each in found if each is not None), None)


def unknown_system(url: str, version: str | None = None) -> FhirError:
    return error("not-found", f"The code system {url}{f'|{version}' if version else ''} is not known here.")


def unknown_value_set(url: str) -> FhirError:
    return error("not-found", f"The value set {url} is not known here.")
