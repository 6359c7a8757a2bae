"""Queries find exactly what consents and labels leave; `FHIR_TEST_CONSENTS` says how often to try."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.clearance import Clearance
from fhir_server.access.concealment import GUARDS
from fhir_server.access.denials import Denials, Situation, purposes
from fhir_server.access.provision import rule_of
from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.access.scopes import Scopes
from fhir_server.fhir import validate
from fhir_server.search.index import index
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from tests.conformance.site import Site
from tests.security.naive import Asking, cleared, forbidden

ROUNDS = int(os.environ.get("FHIR_TEST_CONSENTS", "40"))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PATIENTS = ("p1", "p2", "p3")
TYPES = ("Patient", "Observation", "Condition", "MedicationRequest")
ACT, LEVEL = (f"http://terminology.hl7.org/CodeSystem/v3-{each}" for each in ("ActCode", "Confidentiality"))
LABELS = [{"system": LEVEL, "code": each} for each in "ULMNRV"] + [{"system": ACT, "code": c} for c in ("HIV", "PSY")]
CODES = [{"system": "urn:codes", "code": each} for each in "abc"]
DATES = ("2020-01-01", "2021-06-15", "2022-03-03", "2024-12-31")
ACTORS = ("Practitioner/a", "Practitioner/b", "Organization/o")
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"


def some(chance: Random, found: Sequence[Any]) -> list[Any]:
    return chance.sample(found, chance.randint(1, 2))


def concepts(chance: Random) -> list[dict[str, Any]]:
    return [{"coding": some(chance, CODES)}]


def resource(chance: Random, resource_type: str, name: str) -> dict[str, Any]:
    about: dict[str, Any] = {"resourceType": resource_type, "id": name}
    if chance.random() < 0.4:
        about["meta"] = {"security": some(chance, LABELS)}
    if resource_type == "Patient":
        return about
    about["subject"] = {"reference": f"Patient/{chance.choice(PATIENTS)}"}
    dated = chance.choice((None, *DATES))
    return about | OF_TYPE[resource_type](chance, dated)


OF_TYPE: dict[str, Any] = {
    "Observation": lambda chance, dated: {
        **{"status": "final", "code": concepts(chance)[0], "category": concepts(chance)},
        **({"effectiveDateTime": dated} if dated else {}),
        **({"hasMember": [{"reference": "Observation/Observation-0"}]} if chance.random() < 0.3 else {}),
    },
    "Condition": lambda chance, dated: {
        **{"code": concepts(chance)[0], "category": concepts(chance)},
        **({"onsetDateTime": dated} if dated else {}),
    },
    "MedicationRequest": lambda chance, dated: {
        **{"status": "active", "intent": "order", "medicationCodeableConcept": {"text": "x"}},
        **{"category": concepts(chance)},
        **({"authoredOn": dated} if dated else {}),
    },
}


def period(chance: Random, dates: Sequence[str]) -> dict[str, str]:
    low, high = sorted(chance.sample(dates, 2))
    return chance.choice(({"start": low}, {"end": high}, {"start": low, "end": high}))


PARTS: dict[str, Any] = {
    "actor": lambda chance: [
        {"role": {"text": "x"}, "reference": chance.choice([*({"reference": a} for a in ACTORS), {"display": "who?"}])}
    ],
    "action": lambda chance: [{"coding": [{"system": "urn:a", "code": chance.choice(("access", "correct"))}]}],
    "purpose": lambda chance: [{"system": "urn:p", "code": chance.choice(("TREAT", "HRESCH", "ETREAT"))}],
    "period": lambda chance: period(chance, ("2026-01-01", "2026-05-31", "2026-06-02", "2027-01-01")),
    "class": lambda chance: [
        {"system": chance.choice((RESOURCE_TYPES, RESOURCE_TYPES, "urn:other")), "code": chance.choice(TYPES)}
    ],
    "code": concepts,
    "securityLabel": lambda chance: some(chance, LABELS),
    "data": lambda chance: [
        {
            "meaning": chance.choice(("instance", "related")),
            "reference": {"reference": f"Observation/Observation-{chance.randint(0, 4)}"},
        }
    ],
    "dataPeriod": lambda chance: period(chance, DATES),
}


def provision(chance: Random, depth: int = 0) -> dict[str, Any]:
    chosen = {name: make(chance) for name, make in PARTS.items() if chance.random() < 0.15}
    if depth or chance.random() < 0.8:
        chosen["type"] = chance.choice(("deny", "permit"))
    if chance.random() < 0.05:
        chosen["modifierExtension"] = [{"url": "urn:x", "valueBoolean": True}]
    nested = [provision(chance, depth + 1) for _ in range(chance.randint(0, 2 - depth))]
    return {**chosen, **({"provision": nested} if nested else {})} or {"type": "deny"}


def consent(chance: Random) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"text": "x"}],
        "patient": {"reference": f"Patient/{chance.choice(PATIENTS)}"},
        "policyRule": {"text": "x"},
        "provision": provision(chance),
    }


def callers(chance: Random, name: str, consents: Sequence[dict[str, Any]]) -> Iterator[tuple[Caller, str]]:
    """Each with the purpose for which it asks."""
    rules = [rule for each in consents if (rule := rule_of(each))]
    for who in (None, "Practitioner/a"):
        purpose = chance.choice(("TREAT", "HRESCH", "BTG"))
        situation = Situation(frozenset([who] if who else []), purposes(purpose))
        level = Clearance.parse(chance.sample(["L", "N", "R", "V", "HIV", "PSY"], 2))
        scopes = Scopes.parse("user/*.cruds").resources
        caller = Caller(name, "s", "c", scopes, fhir_user=who, clearance=level)
        yield replace(caller, denials=Denials(rules, situation, NOW)), purpose


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_state_is_judged_as_one_at_a_time(number: int) -> None:
    """Before it is stored, without a database."""
    chance = Random(number)
    consents = [consent(chance) for _ in range(3)]
    for each in consents:
        validate.check(each)
    for caller, purpose in callers(chance, "t", consents):
        for place in range(20):
            one = resource(chance, chance.choice(TYPES), f"r{place}")
            for right, actions in ((Right.READ, ("access",)), (Right.UPDATE, ("access", "correct"))):
                allowed = restriction(caller, one["resourceType"], right, guards=GUARDS)
                expected = seen(consents, caller, purpose, actions, one)
                assert allowed.permits(one["resourceType"], one["id"], index(one)) == expected, (consents, one)


def seen(consents: Any, caller: Caller, purpose: str, actions: Sequence[str], one: dict[str, Any]) -> bool:
    asking = [Asking(caller.fhir_user, purpose, action, NOW) for action in actions]
    clear = cleared(caller.cleared.level, caller.cleared.sensitivities, one)
    return clear and not any(forbidden(consents, each, one) for each in asking)


async def test_queries_find_what_is_left(site: Site) -> None:
    """Searches, counts and single reads, of one type and of several."""
    chance = Random(0)
    store = site.app.state.store
    tenant = await store.tenants.create("hidden")
    guarded = replace(tenant, guards=GUARDS)
    resources = [resource(chance, "Patient", each) for each in PATIENTS]
    resources += [resource(chance, each, f"{each}-{place}") for each in TYPES[1:] for place in range(15)]
    await store.repository(guarded, Caller.system(tenant.name, "test")).put_many(resources)
    for _ in range(max(10, ROUNDS // 4)):
        consents = [consent(chance) for _ in range(4)]
        for caller, purpose in callers(chance, tenant.name, consents):
            repository = store.repository(guarded, caller)
            left = {one["id"] for one in resources if seen(consents, caller, purpose, ("access",), one)}
            everything = plan(parse(TYPES, [("_count", "1000")], lenient=False, base=""))
            assert {each.resource_id for each in (await repository.search(everything)).versions} == left, consents
            assert await repository.count(everything) == len(left)
            keys = [(one["resourceType"], one["id"]) for one in resources]
            assert {name for _, name in await repository.existing(keys)} == left
            for kind in TYPES:
                of_type = plan(parse((kind,), [("_count", "1000")], lenient=False, base=""))
                found = {each.resource_id for each in (await repository.search(of_type)).versions}
                assert found == left & {one["id"] for one in resources if one["resourceType"] == kind}
