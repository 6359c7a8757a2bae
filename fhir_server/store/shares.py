"""What others share with a person, read at every request: a share that ends, ends at once.

A grant is a record of the feature `sharing`; the Consent that documents it must be active as well, so that whoever may
change the Consent can take the share back. An invitation gives nothing until it has become a grant.
https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from fhir_server.access import roles
from fhir_server.access.caller import Caller
from fhir_server.access.grant import LEVELS, Grant
from fhir_server.access.right import Right
from fhir_server.store.connection import Store
from fhir_server.store.features import FeatureRecords
from fhir_server.store.surroundings import Clock, now
from fhir_server.store.tenants import Tenant

ACCOUNT = "accounts/user"
GRANT = "sharing/grant"
OWNER = "sharing/owner"

Record = Mapping[str, Any]


class Shares:
    """Only for people with a role that reaches their own record; others see what their roles say, shared or not."""

    def __init__(self, store: Store, clock: Clock = now) -> None:
        self._store = store
        self._clock = clock
        self._known: WeakKeyDictionary[Caller, Caller] = WeakKeyDictionary()

    async def applied(self, tenant: Tenant, caller: Caller) -> Caller:
        """The caller with what is shared; the same one as long as that is the same, since decisions are remembered."""
        if not roles.reach_own(caller.roles or ()):
            return caller
        grants = await self.of(tenant, caller)
        if grants == caller.grants:
            return caller
        known = self._known.get(caller)
        if known is None or known.grants != grants:
            known = self._known[caller] = replace(caller, grants=grants)
        return known

    async def of(self, tenant: Tenant, caller: Caller) -> tuple[Grant, ...]:
        """What is shared with a person at this moment."""
        records = FeatureRecords(self._store, tenant)
        person = [caller.fhir_user] if caller.fhir_user else []
        accounts, owned = await asyncio.gather(
            records.having(ACCOUNT, "person", person), records.having(OWNER, "owner", person)
        )
        names = [f"{ACCOUNT}/{each}" for each in (caller.subject, *(account["id"] for account in accounts))]
        shared = await self._in_force(tenant, await records.having(GRANT, "grantee", [*names, *person]))
        whole = (_grant(each["patient"], frozenset(Right)) for each in owned)
        return (*whole, *(_grant(each["subject"], _rights(each), _types(each)) for each in shared))

    async def _in_force(self, tenant: Tenant, grants: Sequence[Record]) -> list[Record]:
        held = [each for each in grants if each.get("active") and not self._over(each.get("expires"))]
        documented = {each["consent"] for each in held if each.get("consent")}
        active = await self._active(tenant, documented) if documented else frozenset()
        return [each for each in held if not each.get("consent") or each["consent"] in active]

    async def _active(self, tenant: Tenant, consents: set[str]) -> frozenset[str]:
        """https://hl7.org/fhir/R4/valueset-consent-state-codes.html: no other state permits anything"""
        repository = self._store.repository(tenant, Caller.system(tenant.name, "what is shared"))
        keys = [(kind, each) for kind, _, each in (consent.partition("/") for consent in consents)]
        found = await repository.several(keys)
        return frozenset("/".join(key) for key, each in found.items() if each.resource().get("status") == "active")

    def _over(self, expires: str | None) -> bool:
        """A time that cannot be read is over."""
        if expires is None:
            return False
        try:
            return datetime.fromisoformat(expires).astimezone(UTC) <= self._clock()
        except ValueError:
            return True


def _grant(reference: str, rights: frozenset[Right], types: frozenset[str] | None = None) -> Grant:
    resource_type, _, resource_id = reference.partition("/")
    return Grant(resource_type, resource_id, rights, types)


def _rights(grant: Record) -> frozenset[Right]:
    return LEVELS.get(grant.get("level") or "", frozenset())


def _types(grant: Record) -> frozenset[str] | None:
    """The types that a share is limited to, if it is."""
    listed = (grant.get("permissions") or {}).get("resource_types")
    return None if listed is None else frozenset(listed)
