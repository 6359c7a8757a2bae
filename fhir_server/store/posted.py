"""Definitions that were stored in a tenant like any resource.  https://hl7.org/fhir/R4/conformance-module.html"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

from fhir_server.access.caller import Caller
from fhir_server.fhir.profiles.library import KINDS
from fhir_server.fhir.resource import Resource
from fhir_server.search import registry
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.store.repository import Repository
from fhir_server.store.tenants import Tenant

TOGETHER: Final = 50
_SPECIAL: Final = re.compile(r"([\\,|$])")

Make = Callable[[Tenant, Caller], Repository]


class Posted:
    """Read in the name of the server: a profile is kept by everybody, whoever may read it."""

    def __init__(self, make: Make) -> None:
        self._make = make

    async def find(self, tenant: Tenant, kind: str, urls: Collection[str]) -> list[Resource]:
        """Definitions of one type by URL, the newest of each first."""
        found: list[Resource] = []
        repository = self._repository(tenant)
        listed = sorted(urls)
        for start in range(0, len(listed), TOGETHER):
            values = ",".join(_SPECIAL.sub(r"\\\1", each) for each in listed[start : start + TOGETHER])
            with registry.using(tenant.own):
                query = parse((kind,), [("url", values), ("_count", "1000")], lenient=False, base="")
                found += [each.resource() for each in (await repository.search(plan(query))).versions]
        return sorted(found, key=lambda each: str(each["meta"]["lastUpdated"]), reverse=True)

    async def state(self, tenant: Tenant) -> tuple[str, ...]:
        """Changes whenever a definition is written or deleted."""
        repository = self._repository(tenant)
        newest = [await repository.history(kind, count=1) for kind in KINDS]
        return tuple(f"{each.location}|{each.last_updated}" for page in newest for each in page.versions)

    def _repository(self, tenant: Tenant) -> Repository:
        return self._make(tenant, Caller.system(tenant.name, "profiles"))
