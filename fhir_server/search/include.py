"""`_include` and `_revinclude`: which resources accompany the matches.  https://hl7.org/fhir/R4/search.html#include"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import bad_value, not_supported
from fhir_server.fhir.resource import LOCAL_REFERENCE
from fhir_server.search import apart, registry
from fhir_server.search.own import ParameterSet

NAMES = ("_include", "_revinclude")
ANY = "*"

Key = tuple[str, str]
"""Type and id of a resource."""


@dataclass(frozen=True, slots=True)
class Include:
    """`source:code:target`: with `*` as the source or the code, every one; without a target, all that it may have."""

    reverse: bool
    iterate: bool
    source: str
    code: str
    target: str | None = None

    def codes(self, resource_type: str) -> tuple[str, ...]:
        """The reference parameters of a type that are followed."""
        if self.source not in (ANY, resource_type):
            return ()
        known = references(resource_type)
        return tuple(known) if self.code == ANY else tuple(each for each in known if each == self.code)

    def forward(self, resource_type: str, tokens: Iterable[str]) -> Iterator[Key]:
        """What a resource refers to, by its index entries."""
        codes = self.codes(resource_type)
        for token in tokens:
            code, equals, text = token.partition("=")
            local = LOCAL_REFERENCE.match(text) if equals and code in codes else None
            if local and local.group(3) is None and self.target in (None, local.group(1)):
                yield local.group(1), local.group(2)

    def backward(self, found: Iterable[Key]) -> dict[str, tuple[str, ...]]:
        """By type: the index entries of what refers to one of these resources. `*` is not about AuditEvents."""
        targets: dict[str, list[str]] = {}
        for resource_type, resource_id in found:
            if self.target in (None, resource_type):
                targets.setdefault(resource_type, []).append(resource_id)
        sources = sorted(definitions.resource_types() - {apart.TYPE}) if self.source == ANY else [self.source]
        entries = {each: tuple(self._entries(each, targets)) for each in sources}
        return {source: listed for source, listed in entries.items() if listed}

    def _entries(self, source: str, targets: dict[str, list[str]]) -> Iterator[str]:
        known = references(source)
        for code in self.codes(source):
            for resource_type in targets.keys() & set(known[code]):
                yield from (f"{code}={resource_type}/{each}" for each in targets[resource_type])


def references(resource_type: str) -> dict[str, tuple[str, ...]]:
    """The reference parameters of a type that can be followed, with the types that they may point to."""
    found = _references(resource_type, registry.in_force())
    return {code: targets for code, targets in found.items() if not registry.unready(resource_type, code)}


@lru_cache(maxsize=4096)
def _references(resource_type: str, added: ParameterSet) -> dict[str, tuple[str, ...]]:
    found = registry.parameters(resource_type, added).values()
    return {each.code: each.targets for each in found if each.kind == "reference" and "Reference" in each.types}


def referring(resource_type: str) -> tuple[str, ...]:
    """`Type:parameter` for every parameter that may point to a type."""
    return tuple(
        f"{source}:{code}"
        for source in sorted(definitions.resource_types())
        for code, targets in references(source).items()
        if resource_type in targets
    )


def named(name: str) -> bool:
    return name.partition(":")[0] in NAMES


def parse(name: str, value: str) -> Include:
    """`_include:iterate=Observation:subject:Patient`; raises 400 where there is no such reference."""
    base, _, modifier = name.partition(":")
    if modifier not in ("", "iterate"):
        raise not_supported(f"The modifier ':{modifier}' is not supported on '{base}'. Supported is :iterate.")
    source, code, target = _parts(name, value)
    if source == ANY:
        return Include(base == "_revinclude", bool(modifier), ANY, ANY)
    if source not in definitions.resource_types():
        raise bad_value(f"'{source}' in {name} is not a resource type.")
    registry.refuse_unready(source, code)
    if code != ANY and code not in references(source):
        raise not_supported(f"'{code}' in {name} is not a search parameter of {source} whose references are followed.")
    if target and code != ANY and target not in references(source)[code]:
        allowed = " or ".join(references(source)[code])
        raise bad_value(f"'{code}' in {name} cannot refer to a {target}, only to {allowed}.")
    return Include(base == "_revinclude", bool(modifier), source, code, target or None)


def _parts(name: str, value: str) -> tuple[str, str, str]:
    parts = value.split(":")
    if value != ANY and (len(parts) not in (2, 3) or not all(parts)):
        raise bad_value(f"'{value}' in {name} is not written as Type:parameter, Type:parameter:Target, Type:* or *.")
    source, code, target = [*parts, "", ""][:3]
    return source, code, target
