"""The definitions of each tenant as libraries, filled as they are asked for and thrown away when anything changes.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.resource import Resource
from fhir_server.store.packages import Packages
from fhir_server.store.tenants import Tenant

REMEMBERED: Final = 1.0
"""Seconds in which a new package or a posted profile reaches every process."""

KEPT: Final = 600.0
"""Seconds after which a library is made anew in any case."""

Find = Callable[[Tenant, str, Collection[str]], Awaitable[list[Resource]]]
State = Callable[[Tenant], Awaitable[tuple[str, ...]]]


@dataclass(slots=True)
class Kept:
    """A library, the state of the definitions that it was made for, and when to look again."""

    library: Library
    state: tuple[str, ...]
    made: float
    until: float


class Shelf:
    """`find` and `state` are about definitions that were posted to a tenant; these come before those of packages."""

    def __init__(self, packages: Packages, find: Find, state: State) -> None:
        self._packages = packages
        self._find = find
        self._state = state
        self._kept: dict[str, Kept] = {}

    async def library(self, tenant: Tenant) -> Library:
        kept = self._kept.get(tenant.name)
        moment = monotonic()
        if kept is not None and kept.until > moment:
            return kept.library
        state = (*await self._packages.state(tenant), "|", *await self._state(tenant), str(tenant.created))
        if kept is None or kept.state != state or kept.made + KEPT < moment:
            kept = self._kept[tenant.name] = Kept(Library(), state, moment, 0.0)
        kept.until = moment + REMEMBERED
        return kept.library

    async def fill(self, tenant: Tenant, library: Library) -> None:
        """Looks up all that the library wants."""
        wanted = set(library.wanted)
        for kind in sorted({kind for kind, _ in wanted}):
            names = [name for each, name in wanted if each == kind]
            urls = {name.partition("|")[0] for name in names}
            found = [*await self._find(tenant, kind, urls), *await self._packages.find(tenant, kind, urls)]
            library.add({(kind, name): _chosen(name, found) for name in names})


def _chosen(canonical: str, found: Iterable[Resource]) -> Resource | None:
    """The first of this URL and, where the canonical names one, of this version."""
    url, _, version = canonical.partition("|")
    of_url = (each for each in found if each["url"] == url)
    return next((each for each in of_url if not version or each.get("version") == version), None)
