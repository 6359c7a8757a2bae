"""What consents forbid one caller at one moment, as filters on what a query finds.  https://hl7.org/fhir/R4/consent.html

The deepest provision that holds decides, and of those at the same depth one that forbids. Patients whose whole record
is forbidden are one list; what is forbidden in part is one filter for all patients with provisions of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_server.access import regions
from fhir_server.access.provision import Data, Provision, Rule, table
from fhir_server.access.regions import Region
from fhir_server.access.right import Right
from fhir_server.fhir import definitions
from fhir_server.search.blinding import Blinding

Filter = Mapping[str, Any]

OWNED: Final = {"Device": "patient"}
"""Types outside the patient compartment that are one patient's by a reference parameter. US Core: Implantable Device"""

_ACTIONS: Final = {
    Right.READ: ("access",),
    Right.SEARCH: ("access",),
    Right.CREATE: ("access", "collect"),
    Right.UPDATE: ("access", "correct"),
    Right.DELETE: ("access", "correct"),
}
"""What a right is in the words of consents: nobody writes what may not be read."""
DISCLOSE: Final = "disclose"
"""What a service reads leaves for another system."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Who asks for what: references to the person and whom the person belongs to, and a purpose with its wider ones."""

    identities: frozenset[str]
    purposes: frozenset[str]
    service: bool = False

    def actions(self, right: Right) -> tuple[str, ...]:
        return (*_ACTIONS[right], DISCLOSE) if self.service else _ACTIONS[right]


def purposes(code: str) -> frozenset[str]:
    """A purpose with those that it is one of."""
    return frozenset((code, *table()["purposes"].get(code, ())))


@dataclass(frozen=True, slots=True)
class Node:
    """A provision of which all is decided but the data; it certainly holds, or it may."""

    kind: str | None
    certain: bool
    data: Data
    nested: tuple[Node, ...]

    @property
    def total(self) -> bool:
        """Whether it forbids everything."""
        return self.kind == "deny" and self.data.anything and not any(each.permits for each in self.nested)

    @property
    def permits(self) -> bool:
        return self.kind == "permit" or any(each.permits for each in self.nested)


def resolved(provision: Provision, situation: Situation, action: str, now: datetime) -> Node | None:
    """What is left of a provision for somebody; None where it says nothing."""
    doubtful, certain = provision.unclear, not provision.unclear
    for possible, sure in _conditions(provision, situation, action, now):
        if not possible and not doubtful:
            return None
        certain = certain and sure
    found = (resolved(each, situation, action, now) for each in provision.nested)
    nested = tuple(each for each in found if each is not None)
    if provision.kind is None and not nested:
        return None
    return Node(provision.kind, certain, provision.data, nested)


def _conditions(provision: Provision, situation: Situation, action: str, now: datetime) -> Iterator[tuple[bool, bool]]:
    """Of each whether it may hold, and whether it does for sure."""
    if provision.actors is not None:
        met = any(each in situation.identities for each in provision.actors)
        yield met or None in provision.actors, met
    if provision.actions is not None:
        yield (action in provision.actions,) * 2
    if provision.purposes is not None:
        yield (not provision.purposes.isdisjoint(situation.purposes),) * 2
    if provision.spared:
        yield (provision.spared.isdisjoint(situation.purposes),) * 2
    if provision.period is not None:
        low, high = provision.period.low, provision.period.high
        yield ((low is None or low <= now) and (high is None or now < high),) * 2


def denied(node: Node, resource_type: str, blinding: Blinding | None = None) -> tuple[Region, Region]:
    """The resources of a type that a provision with its exceptions forbids, and those that it permits."""
    possible, sure = regions.of(node.data, resource_type, forbids=node.kind == "deny", blinding=blinding)
    if not node.certain:
        sure = None
    inner = [denied(each, resource_type, blinding) for each in node.nested]
    forbidden = regions.either(each for each, _ in inner)
    excepted = regions.both(regions.either(each for _, each in inner), regions.outside(forbidden))
    if node.kind == "deny":
        return regions.both(possible, regions.outside(excepted)), regions.both(sure, excepted)
    permitted = regions.outside(forbidden) if node.kind == "permit" else excepted
    return regions.both(possible, forbidden), regions.both(sure, permitted)


def in_compartment(resource_type: str) -> bool:
    """https://hl7.org/fhir/R4/compartmentdefinition-patient.html"""
    return resource_type == "Patient" or bool(definitions.compartment("Patient").get(resource_type))


class Denials:
    """Of one situation; good until a provision begins or ceases to hold, or a Consent changes."""

    def __init__(
        self, rules: Iterable[Rule], situation: Situation, now: datetime, blinding: Blinding | None = None
    ) -> None:
        self.situation = situation
        self._rules = list(rules)
        self._now = now
        self._blinding = blinding
        later = [moment for rule in self._rules for moment in rule.provision.moments if moment > now]
        self.until = min(later, default=datetime.max.replace(tzinfo=now.tzinfo))
        self._sorted: dict[tuple[str, ...], tuple[list[str], dict[Node, list[str]]]] = {}

    @property
    def size(self) -> int:
        """How many patients a query has to name."""
        whole, partial = self._decided(self.situation.actions(Right.READ))
        return len(whole) + sum(map(len, partial.values()))

    def everywhere(self, right: Right) -> list[Filter]:
        """Of patients whose whole record is forbidden, what is in their compartments."""
        whole = self._decided(self.situation.actions(right))[0]
        return [{"cmp": {"$in": whole}}] if whole else []

    def of_type(self, resource_type: str, right: Right) -> list[Filter]:
        """What is forbidden of a type besides."""
        if resource_type not in OWNED and not in_compartment(resource_type):
            return []
        whole, partial = self._decided(self.situation.actions(right))
        parts = [(denied(node, resource_type, self._blinding)[0], patients) for node, patients in partial.items()]
        more = {each for region, patients in parts if region == {} for each in patients}
        more.update(whole if resource_type in OWNED else ())
        return [_of(resource_type, sorted(more))] * bool(more) + [
            # What was deleted has no index to decide by: it is as hidden as all that it may have been.
            {**_of(resource_type, patients), "$or": [{"del": True}, region]}
            for region, patients in parts
            if region
        ]

    def _decided(self, actions: tuple[str, ...]) -> tuple[list[str], dict[Node, list[str]]]:
        if actions not in self._sorted:
            whole: set[str] = set()
            partial: dict[Node, list[str]] = {}
            alike: dict[int, list[Node]] = {}
            for rule in self._rules:
                # Most consents of a practice say the same, and are one object; see `store.consents`.
                if id(rule.provision) not in alike:
                    alike[id(rule.provision)] = list(self._nodes(rule, actions))
                for node in alike[id(rule.provision)]:
                    if node.total:
                        whole.add(rule.patient)
                    else:
                        partial.setdefault(node, []).append(rule.patient)
            self._sorted[actions] = sorted(whole), partial
        return self._sorted[actions]

    def _nodes(self, rule: Rule, actions: Sequence[str]) -> Iterable[Node]:
        found = (resolved(rule.provision, self.situation, each, self._now) for each in actions)
        return {each for each in found if each is not None}


def _of(resource_type: str, patients: list[str]) -> dict[str, Any]:
    if resource_type in OWNED:
        return {"tok": {"$in": [f"{OWNED[resource_type]}={each}" for each in patients]}}
    return {"cmp": {"$in": patients}}
