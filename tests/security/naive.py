"""Consents and labels decided one resource at a time, from the JSON alone: filters must agree with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Resource = Mapping[str, Any]

LEVELS = "ULMNRV"
DATED = {"Observation": "effectiveDateTime", "Condition": "onsetDateTime", "MedicationRequest": "authoredOn"}
CODED = {"Observation": ("code", "category"), "Condition": ("code", "category"), "MedicationRequest": ("category",)}
TYPES = "http://hl7.org/fhir/resource-types"
WIDER = {"TREAT": {"TREAT"}, "HRESCH": {"HRESCH"}, "BTG": {"BTG", "ETREAT", "TREAT"}}

Match = tuple[bool, bool]
"""Whether it may be met, and whether it is for sure."""


@dataclass(frozen=True)
class Asking:
    """Who asks for what, when."""

    who: str | None
    purpose: str
    action: str
    now: datetime


def forbidden(consents: Sequence[Resource], asking: Asking, resource: Resource) -> bool:
    """Whether one of the consents of the resource's patient forbids it."""
    of = resource.get("subject", {}).get("reference", f"Patient/{resource['id']}")
    return any(
        decided(each["provision"], asking, resource) == "deny"
        for each in consents
        if each["patient"]["reference"] == of
    )


def decided(provision: Resource, asking: Asking, resource: Resource) -> str | None:
    """The deepest one that is met decides; of several one that forbids."""
    met = [check(provision, asking, resource) for name, check in CHECKS.items() if name in provision]
    odd = "modifierExtension" in provision
    possible, sure = (all(each for each, _ in met) or odd), (all(each for _, each in met) and not odd)
    if odd:
        possible = all(each for name, (each, _) in zip(_named(provision), met, strict=True) if name in OF_DATA)
    if not possible:
        return None
    inner = [decided(each, asking, resource) for each in provision.get("provision", ())]
    if "deny" in inner:
        return "deny"
    kind = "permit" if "permit" in inner else provision.get("type")
    return "deny" if kind == "deny" else "permit" if kind == "permit" and sure else None


def _named(provision: Resource) -> list[str]:
    return [name for name in CHECKS if name in provision]


def cleared(level: str, sensitivities: frozenset[str], resource: Resource) -> bool:
    codes = {each["code"] for each in resource.get("meta", {}).get("security", ())}
    levels = [each for each in codes if each in LEVELS] or ["N"]
    return all(LEVELS.index(each) <= LEVELS.index(level) for each in levels) and codes - set(LEVELS) <= sensitivities


def _sure(met: bool) -> Match:
    return met, met


def _actor(rule: Any, asking: Asking, _: Resource) -> Match:
    given = rule["actor"]
    references = [each["reference"].get("reference") for each in given]
    met = asking.who is not None and asking.who in references
    return met or None in references, met


def _action(rule: Any, asking: Asking, _: Resource) -> Match:
    given = rule["action"]
    return _sure(any(coding["code"] == asking.action for each in given for coding in each["coding"]))


def _purpose(rule: Any, asking: Asking, _: Resource) -> Match:
    given = rule["purpose"]
    return _sure(any(each["code"] in WIDER[asking.purpose] for each in given))


def _period(rule: Any, asking: Asking, _: Resource) -> Match:
    given = rule["period"]
    now = asking.now.date().isoformat()
    return _sure(given.get("start", "") <= now <= given.get("end", "9"))


def _class(rule: Any, _: Asking, resource: Resource) -> Match:
    given = rule["class"]
    met = any(each["system"] == TYPES and each["code"] == resource["resourceType"] for each in given)
    return met or any(each["system"] != TYPES for each in given), met


def _code(rule: Any, _: Asking, resource: Resource) -> Match:
    given = rule["code"]
    wanted = {(each["system"], each["code"]) for concept in given for each in concept["coding"]}
    found: set[tuple[str, str]] = set()
    for name in CODED.get(resource["resourceType"], ()):
        element = resource.get(name, [])
        for concept in element if isinstance(element, list) else [element]:
            found |= {(each["system"], each["code"]) for each in concept.get("coding", ())}
    return _sure(bool(found & wanted))


def _label(rule: Any, _: Asking, resource: Resource) -> Match:
    given = rule["securityLabel"]
    codes = {each["code"] for each in resource.get("meta", {}).get("security", ())}
    level = max([each for each in codes if each in LEVELS] or ["N"], key=LEVELS.index)
    return _sure(any(_labelled(each["code"], level, codes, rule.get("type")) for each in given))


def _labelled(wanted: str, level: str, codes: set[str], kind: str | None) -> bool:
    """What is forbidden from a level on is so above it, what is permitted up to one is so below it."""
    if wanted not in LEVELS:
        return wanted in codes
    place, limit = LEVELS.index(level), LEVELS.index(wanted)
    return place >= limit if kind == "deny" else place <= limit


def _data(rule: Any, _: Asking, resource: Resource) -> Match:
    given = rule["data"]
    itself = f"{resource['resourceType']}/{resource['id']}"
    met = any(each["reference"]["reference"] == itself for each in given)
    wider = {each["reference"]["reference"] for each in given if each["meaning"] != "instance"}
    return met or any(each["reference"] in wider for each in resource.get("hasMember", ())), met


def _dates(rule: Any, _: Asking, resource: Resource) -> Match:
    given = rule["dataPeriod"]
    name = DATED.get(resource["resourceType"])
    found = resource.get(name or "")
    if found is None:
        return True, False
    return _sure(given.get("start", "") <= found <= given.get("end", "9"))


CHECKS = {
    "actor": _actor,
    "action": _action,
    "purpose": _purpose,
    "period": _period,
    "class": _class,
    "code": _code,
    "securityLabel": _label,
    "data": _data,
    "dataPeriod": _dates,
}
OF_DATA = frozenset({"class", "code", "securityLabel", "data", "dataPeriod"})
