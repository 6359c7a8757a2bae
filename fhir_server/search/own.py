"""What a tenant adds to the search parameters of R4, and how far it is indexed.  https://hl7.org/fhir/R4/searchparameter.html"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import SearchParameter

if TYPE_CHECKING:
    from fhir_server.search.blinding import Blinding

NOT_DOMAIN = frozenset({"Binary", "Bundle", "Parameters"})
"""https://hl7.org/fhir/R4/resource.html"""


@dataclass(frozen=True, eq=False)
class ParameterSet:
    """Definitions beyond R4. The same definitions are one object, which is the key of what is compiled for them."""

    definitions: tuple[SearchParameter, ...]
    _by_type: dict[str, ParameterSet] = field(default_factory=dict)

    def on(self, resource_type: str) -> ParameterSet:
        """Those that a type has; mostly that is the one set without any."""
        found = self._by_type.get(resource_type)
        if found is None:
            listed = tuple(each for each in self.definitions if resource_type in types_of(each.base))
            found = self if listed == self.definitions else parameter_set(listed) if listed else R4
            self._by_type[resource_type] = found
        return found


@lru_cache(maxsize=1024)
def parameter_set(found: tuple[SearchParameter, ...]) -> ParameterSet:
    return ParameterSet(found)


def types_of(base: tuple[str, ...]) -> frozenset[str]:
    """The resource types that a parameter with these bases has."""
    every = definitions.resource_types()
    if "Resource" in base:
        return every
    return every - NOT_DOMAIN if "DomainResource" in base else every.intersection(base)


R4 = parameter_set(())


@dataclass(frozen=True, slots=True)
class Own:
    """What search works with for a tenant, besides R4.

    `version` counts the changes to what has to be indexed; `unready` says, by URL, how far the others are.
    """

    version: int = 0
    added: ParameterSet = R4
    unready: Mapping[str, str] = field(default_factory=dict)
    blinding: Blinding | None = None
    """Of a tenant that is encrypted."""

    @property
    def ready(self) -> ParameterSet:
        """Those that can be searched with."""
        return parameter_set(tuple(each for each in self.added.definitions if each.url not in self.unready))


NONE = Own()
