"""What the consents of a tenant forbid, kept beside them and read at every request: one that is revoked is so at once.

A rule is written in the transaction that writes its Consent, under the next number of the tenant. A process that knows
the rules up to a number asks for the number, and for what came after it.
https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

from fhir_server.access.caller import Caller
from fhir_server.access.concealment import CONSENTS
from fhir_server.access.denials import Denials, Situation, purposes
from fhir_server.access.provision import Provision, Rule, rule_of
from fhir_server.fhir import json
from fhir_server.fhir.outcome import too_costly
from fhir_server.fhir.resource import Resource
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors
from fhir_server.store.repository import Repository
from fhir_server.store.rules import number_key
from fhir_server.store.surroundings import Clock, now
from fhir_server.store.tenants import Tenant, Tenants

MOST: Final = 50_000
"""Patients that consents may keep from one caller: each is named in every query."""
KEPT: Final = 256
"""Situations for which what is forbidden is remembered."""

GATHERED: Final[Mapping[str, tuple[str, str]]] = {
    "PractitionerRole": ("PractitionerRole", "practitioner"),
    "Organization": ("PractitionerRole", "practitioner"),
    "CareTeam": ("CareTeam", "participant"),
    "Group": ("Group", "member"),
}
"""Types of actors that a person may belong to, with the type and the parameter by which that is found."""


@dataclass(slots=True)
class Known:
    """The rules of a tenant by the id of their Consent, up to a number; and what was made of them."""

    number: int = 0
    rules: dict[str, Rule] = field(default_factory=dict)
    said: dict[Provision, Provision] = field(default_factory=dict)
    """Each provision once, however many consents have it."""
    actors: frozenset[str] = frozenset()
    denials: dict[Any, Denials] = field(default_factory=dict)
    callers: WeakKeyDictionary[Caller, Caller] = field(default_factory=WeakKeyDictionary)

    def learn(self, found: Iterable[tuple[str, Resource | None]], number: int) -> None:
        for name, consent in found:
            rule = rule_of(consent) if consent else None
            self.rules.pop(name, None)
            if rule is not None:
                said = self.said.setdefault(rule.provision, rule.provision)
                self.rules[name] = Rule(rule.patient, said)
        self.number = number
        self.actors = frozenset(each for rule in self.rules.values() for each in rule.provision.everyone)
        self.denials.clear()


class Consents:
    """Of all tenants, as one process knows them; tenants without consents that forbid anything cost nothing."""

    def __init__(
        self,
        of: Callable[[Tenant], Database],
        repository: Callable[[Tenant, Caller], Repository],
        tenants: Tenants,
        clock: Clock = now,
    ) -> None:
        self._of = of
        self._repository = repository
        self._tenants = tenants
        self._clock = clock
        self._known: dict[tuple[str, datetime], Known] = {}

    async def applied(self, tenant: Tenant, caller: Caller) -> Caller:
        """The caller with what is forbidden; the same one as long as that is the same."""
        if CONSENTS not in tenant.guards or caller.unbound:
            return caller
        known = await self._current(tenant)
        denials = await self._denials(tenant, known, caller)
        if caller.denials is denials:
            return caller
        found = known.callers.get(caller)
        if found is None or found.denials is not denials:
            found = known.callers[caller] = replace(caller, denials=denials)
        return found

    async def guard(self, tenant: Tenant, guards: frozenset[str]) -> None:
        """From now on every process looks for these."""
        await self._tenants.guard(tenant.name, guards)

    async def guards(self, tenant: Tenant) -> frozenset[str]:
        """As this process knows them at this moment."""
        found = await self._tenants.get(tenant.name)
        return found.guards if found else tenant.guards

    async def _current(self, tenant: Tenant) -> Known:
        """One look at the number, and at what is new where it has changed."""
        known = self._known.setdefault((tenant.name, tenant.created), Known())
        collection = self._of(tenant).consents
        with mongo_errors:
            counter = await collection.find_one({"_id": number_key(tenant.name)})
            number = counter["n"] if counter else 0
            if number == known.number:
                return known
            wanted = {"t": tenant.name, "n": {"$gt": known.number}}
            found = await collection.find(wanted).sort([("n", 1)]).to_list()
        known.learn([(each["id"], json.trusted(each["body"]) if each["body"] else None) for each in found], number)
        return known

    async def _denials(self, tenant: Tenant, known: Known, caller: Caller) -> Denials:
        situation = await self._situation(tenant, known, caller)
        reached = _reached(caller)
        name = (situation, reached)
        found = known.denials.get(name)
        moment = self._clock()
        if found is None or found.until <= moment:
            rules = (each for each in known.rules.values() if reached is None or each.patient in reached)
            found = Denials(rules, situation, moment, tenant.blinding)
            if found.size > MOST:
                raise too_costly(f"Consents are about more than {MOST:,} patients, which is too many to look past.")
            if len(known.denials) >= KEPT:
                known.denials.clear()
            known.denials[name] = found
        return found

    async def _situation(self, tenant: Tenant, known: Known, caller: Caller) -> Situation:
        """Only references that a rule is about: whom none is about shares what is forbidden with all like that."""
        themselves = {each for each in (caller.fhir_user, caller.subject) if each and "/" in each}
        belonging = await self._belonging(tenant, known, themselves) if known.actors else set()
        service = caller.roles is None and any(each.context == "system" for each in caller.scopes)
        return Situation(frozenset((themselves | belonging) & known.actors), purposes(caller.purpose), service)

    async def _belonging(self, tenant: Tenant, known: Known, themselves: set[str]) -> set[str]:
        """Roles, organizations, teams and groups of a person, where a rule is about any such."""
        types = {each.partition("/")[0] for each in known.actors}
        asked = {GATHERED[each] for each in types if each in GATHERED}
        found: set[str] = set()
        repository = self._repository(tenant, Caller.system(tenant.name, "to whom consents apply"))
        for resource_type, parameter in sorted(asked):
            for person in sorted(themselves):
                query = parse((resource_type,), [(parameter, person), ("_count", "1000")], lenient=False, base="")
                for each in (await repository.search(plan(query))).versions:
                    found.add(each.location.partition("/_history/")[0])
                    found.add(each.resource().get("organization", {}).get("reference", ""))
        return found


def _reached(caller: Caller) -> frozenset[str] | None:
    """The patients that a caller may reach at all, where they are few; None where they may be all."""
    if any(each.context != "patient" for each in caller.scopes) or caller.patient is None:
        return None
    return frozenset((f"Patient/{caller.patient}",))
