"""A Consent taken apart: when each of its provisions holds for whom, whatever the data.  https://hl7.org/fhir/R4/consent.html

What cannot be decided counts as met where it forbids and as not met where it permits: a modifier extension, an actor
that leads nowhere, a period that ends before it starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from fhir_server.fhir.primitives import interval_of
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource

Code = tuple[str, str]
"""System and code."""
Kind = Literal["deny", "permit"] | None

CUSTODIAN = "CST"
"""Who holds the data: this server, and so no limit on who asks."""
SELF, OTHERS = "instance", frozenset({"related", "dependents", "authoredby"})


@dataclass(frozen=True, slots=True)
class Span:
    """A time; a bound that is not there is open."""

    low: datetime | None
    high: datetime | None


@dataclass(frozen=True, slots=True)
class Data:
    """What a provision says of the resources it is about; None where it says nothing."""

    classes: tuple[Code, ...] | None = None
    codes: tuple[Code, ...] | None = None
    labels: tuple[Code, ...] | None = None
    instances: tuple[tuple[str, str], ...] | None = None
    """Each with how it is meant."""
    dates: Span | None = None
    unclear: bool = False
    """Whether there is something in it that only a person understands."""

    @property
    def anything(self) -> bool:
        return self == EVERYTHING


EVERYTHING = Data()


@dataclass(frozen=True, slots=True)
class Provision:
    """One rule with its exceptions; `unclear` where nobody here can tell whether it holds."""

    kind: Kind
    actors: tuple[str | None, ...] | None = None
    """References, None among them for somebody who cannot be found."""
    actions: frozenset[str] | None = None
    purposes: frozenset[str] | None = None
    spared: frozenset[str] = frozenset()
    """Purposes that it says nothing about."""
    period: Span | None = None
    data: Data = EVERYTHING
    unclear: bool = False
    nested: tuple[Provision, ...] = ()

    @property
    def forbids(self) -> bool:
        return self.kind == "deny" or any(each.forbids for each in self.nested)

    @property
    def everyone(self) -> Iterable[str]:
        """References to actors, in it and in its exceptions."""
        yield from (each for each in self.actors or () if each)
        for each in self.nested:
            yield from each.everyone

    @property
    def moments(self) -> Iterable[datetime]:
        """When it begins or ceases to hold."""
        if self.period:
            yield from (each for each in (self.period.low, self.period.high) if each)
        for each in self.nested:
            yield from each.moments


@dataclass(frozen=True, slots=True)
class Rule:
    """What a Consent forbids of the record of one patient."""

    patient: str
    provision: Provision


NAMED = ("status", "scope", "patient", "policyRule", "provision", "modifierExtension", "implicitRules", "resourceType")
"""The elements that a rule is made of."""


def rule_of(consent: Resource) -> Rule | None:
    """None where it forbids nothing: it is not in force, is about something else, or only permits."""
    patient = consent.get("patient", {}).get("reference", "").partition("/_history/")[0]
    scope = _row("scopes", consent.get("scope"))
    if consent.get("status") != "active" or scope.get("says") == "nothing" or not LOCAL_REFERENCE.match(patient):
        return None
    if consent.get("modifierExtension") or consent.get("implicitRules"):
        return Rule(patient, Provision("deny", unclear=True))
    policy = _row("policies", consent.get("policyRule"))
    root = _provision(consent.get("provision", {}), policy.get("type"), scope.get("purposes"), policy.get("beyond", ()))
    return Rule(patient, root) if root.forbids else None


def essence(consent: Resource) -> Resource:
    """As much of a Consent as its rule is made of."""
    return {name: consent[name] for name in NAMED if name in consent}


def _provision(
    given: Mapping[str, Any], kind: Kind = None, purposes: Sequence[str] | None = None, beyond: Sequence[str] = ()
) -> Provision:
    stated = _codes(given.get("purpose"))
    asked = purposes if stated is None else [code for _, code in stated]
    period, wrong = _span(given.get("period"))
    actors = _actors(given.get("actor"))
    return Provision(
        given.get("type", kind),
        actors,
        _actions(given.get("action")),
        None if asked is None else frozenset(asked),
        frozenset(beyond) if asked is None else frozenset(),
        period,
        _data(given),
        wrong or _modified(given),
        tuple(_provision(each) for each in given.get("provision", ())),
    )


def _modified(given: Mapping[str, Any]) -> bool:
    """https://hl7.org/fhir/R4/extensibility.html#modifierExtension: who does not understand one SHALL NOT process it"""
    inner = [each for name in ("actor", "data") for each in given.get(name, ())]
    return any(each.get("modifierExtension") for each in (given, *inner))


def _actors(given: Sequence[Mapping[str, Any]] | None) -> tuple[str | None, ...] | None:
    asking = [each for each in given or () if CUSTODIAN not in {code for _, code in _concept(each.get("role", {}))}]
    if not asking:
        return None
    references = [each.get("reference", {}).get("reference", "") for each in asking]
    return tuple(each if LOCAL_REFERENCE.match(each) else None for each in references)


def _actions(given: Sequence[Mapping[str, Any]] | None) -> frozenset[str] | None:
    """`use` is what access is for. https://hl7.org/fhir/R4/valueset-consent-action.html"""
    if not given:
        return None
    codes = {code for each in given for _, code in _concept(each)}
    return frozenset("access" if each == "use" else each for each in codes)


def _data(given: Mapping[str, Any]) -> Data:
    concepts = given.get("code")
    dates, wrong = _span(given.get("dataPeriod"))
    instances = [(each.get("meaning", ""), each.get("reference", {}).get("reference", "")) for each in _listed(given)]
    return Data(
        _codes(given.get("class")),
        tuple(code for each in concepts for code in _concept(each)) if concepts else None,
        _codes(given.get("securityLabel")),
        tuple(instances) or None,
        dates,
        wrong
        or any(not LOCAL_REFERENCE.match(reference) for _, reference in instances)
        or any(not _concept(each) for each in concepts or ()),
    )


def _listed(given: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = given.get("data", ())
    return found


def _span(given: Mapping[str, Any] | None) -> tuple[Span | None, bool]:
    """A period with whether something is wrong with it."""
    if not given:
        return None, False
    try:
        low = interval_of(given["start"]).low if "start" in given else None
        high = interval_of(given["end"]).high if "end" in given else None
    except ValueError:
        return None, True
    return Span(low, high), bool(low and high and low >= high)


def _codes(given: Sequence[Mapping[str, Any]] | None) -> tuple[Code, ...] | None:
    return tuple((each.get("system", ""), each.get("code", "")) for each in given) if given else None


def _concept(given: Mapping[str, Any]) -> tuple[Code, ...]:
    return _codes([each for each in given.get("coding", ()) if "code" in each]) or ()


def _row(name: str, concept: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The first row that one of the codes has."""
    rows = table()[name]
    return next((rows[code] for _, code in _concept(concept or {}) if code in rows), {})


@cache
def table() -> Mapping[str, Any]:
    """As it is written down."""
    text = files("fhir_server.access").joinpath("consents.yaml").read_text(encoding="utf-8")
    listed: Mapping[str, Any] = yaml.safe_load(text)
    return listed
