"""What a Consent forbids, taken apart.  https://hl7.org/fhir/R4/consent.html"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.access.denials import Denials, Situation, purposes
from fhir_server.access.provision import rule_of
from fhir_server.access.right import Right

GOLDEN = Path(__file__).parents[1] / "mappings" / "emr" / "patients.yaml"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TYPES = "http://hl7.org/fhir/resource-types"
EVERYTHING = [{"cmp": {"$in": ["Patient/p"]}}]


def consent(**more: Any) -> dict[str, Any]:
    about = {"resourceType": "Consent", "status": "active", "patient": {"reference": "Patient/p"}}
    return {**about, "scope": {"coding": [{"code": "patient-privacy"}]}, **more}


def policy(code: str) -> dict[str, Any]:
    return {"policyRule": {"coding": [{"code": code}]}}


def forbidden(purpose: str = "TREAT", **more: Any) -> list[Any] | None:
    """What is hidden of the patient's Observations; None where there is nothing to evaluate."""
    rule = rule_of(consent(**more))
    if rule is None:
        return None
    denials = Denials([rule], Situation(frozenset(), purposes(purpose)), NOW)
    return [*denials.everywhere(Right.READ), *denials.of_type("Observation", Right.READ)]


DENY: dict[str, Any] = {"provision": {"type": "deny"}}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, None),
        (DENY, EVERYTHING),
        (policy("OPTOUT"), EVERYTHING),
        (policy("OPTIN"), None),
        (policy("OPTOUT") | {"provision": {"type": "permit"}}, None),
        (DENY | {"status": "rejected"}, None),
        (DENY | {"status": "inactive"}, None),
        (DENY | {"status": "entered-in-error"}, None),
        (DENY | {"scope": {"coding": [{"code": "treatment"}]}}, None),
        (DENY | {"scope": {"coding": [{"code": "adr"}]}}, None),
        (DENY | {"scope": {"text": "who knows"}}, EVERYTHING),
        (DENY | {"scope": {"coding": [{"code": "research"}]}}, []),
        (DENY | policy("hipaa-auth"), []),
        (DENY | {"patient": {"display": "somebody"}}, None),
        (DENY | {"patient": {"reference": "Patient/p/_history/1"}}, EVERYTHING),
        ({"provision": {"type": "permit"}, "modifierExtension": [{"url": "urn:x"}]}, EVERYTHING),
        ({"provision": {"type": "permit"}, "implicitRules": "urn:x"}, EVERYTHING),
        ({"provision": {"type": "deny", "period": {"start": "2027", "end": "2026"}}}, EVERYTHING),
        ({"provision": {"type": "deny", "period": {"end": "2026-05-31"}}}, []),
        ({"provision": {"type": "deny", "period": {"end": "2026-06-01"}}}, EVERYTHING),
        (
            {
                "provision": {
                    "type": "deny",
                    "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Goal"}],
                }
            },
            [],
        ),
    ],
    ids=str,
)
def test_what_it_leaves_open_is_decided(more: dict[str, Any], expected: list[Any] | None) -> None:
    assert forbidden(**more) == expected


def test_an_authorization_is_about_what_goes_beyond_treatment() -> None:
    assert forbidden("HRESCH", **DENY, **policy("hipaa-auth")) == EVERYTHING
    assert forbidden("HRESCH", **DENY, scope={"coding": [{"code": "research"}]}) == EVERYTHING
    treating = {"provision": {"type": "deny", "purpose": [{"code": "TREAT"}]}} | policy("hipaa-auth")
    assert forbidden("ETREAT", **treating) == EVERYTHING


def consents(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        if found.get("resourceType") == "Consent":
            yield found
        found = list(found.values())
    for each in found if isinstance(found, list) else ():
        yield from consents(each)


def test_restrictions_of_a_health_record_hide_what_they_are_about() -> None:
    """Whom they name in words nobody can find."""
    rows = list(consents(yaml.safe_load(GOLDEN.read_text())))
    restrictions = [each for each in rows if "actor" in each.get("provision", {})]
    assert len(restrictions) >= 2
    for each in restrictions:
        rule = rule_of({**each, "patient": {"reference": "Patient/p"}})
        assert rule is not None
        denials = Denials([rule], Situation(frozenset(["Practitioner/a"]), purposes("TREAT")), NOW)
        about = [coding["code"] for coding in each["provision"].get("class", ())]
        for resource_type in ("MedicationRequest", "Observation"):
            hidden = [*denials.everywhere(Right.READ), *denials.of_type(resource_type, Right.READ)]
            assert bool(hidden) == (not about or resource_type in about)
