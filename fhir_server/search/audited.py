"""The search index of events of our own, put together from the indexes of their parts.

The index of an AuditEvent is the union of those of its elements, and events share most of these: each part is indexed
once, by the same walk as everything else, and remembered. https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from fhir_server.fhir.audit import Action, Agent, Code, Entity, Event, Outcome, agent_json, entity_json, resource_of
from fhir_server.fhir.primitives import whole_milliseconds
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource
from fhir_server.search import apart
from fhir_server.search.index import Index, compartments, index
from fhir_server.search.own import R4, ParameterSet
from fhir_server.search.types import date


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Entries of `tok`, `str`, `cmp` and `ref`; into those of `held` and `owned` an id is still to be put.

    Of what is held it is said whether it is in `ref` too. There is one of each part, which is compared as an object.
    """

    tokens: tuple[str, ...]
    strings: tuple[str, ...]
    owners: tuple[str, ...]
    telling: tuple[str, ...]
    held: tuple[tuple[str, bool], ...] = ()
    owned: tuple[str, ...] = ()


_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_PLACE = "place-held"
_VERSION = "version-held"
_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
"""Identifiers that stand in index entries as they are."""


def index_of(event: Event, resource_id: str, added: ParameterSet = R4) -> Index:
    """What `search.index.index` gives for the resource of the event, its entries in another order."""
    if added.on("AuditEvent") is not R4:
        return index(resource_of(event, resource_id), added=added)
    shared = _shared(
        event.type, event.subtypes, event.action, event.outcome, event.purposes, event.profiles, event.agents
    )
    about = [_part(each) for each in event.entities]
    common = _joined(shared, *(part for part, *_ in about))
    held = {
        each.replace(_PLACE, named).replace(_VERSION, version): tells
        for part, named, version in about
        for each, tells in part.held
    }
    owned = [each.replace(_PLACE, named) for part, named, _ in about for each in part.owned]
    moment = whole_milliseconds(event.recorded).astimezone(UTC)
    dates = date.rows("date", [date.Span(moment, moment + date.MILLISECOND)])
    tokens, owners = (
        list(dict.fromkeys([*listed, *more])) for listed, more in ((common.tokens, held), (common.owners, owned))
    )
    telling = [*common.telling, *(each for each, tells in held.items() if tells)]
    return Index(tokens, list(common.strings), dates, [], owners, moment, telling=telling)


@lru_cache(maxsize=4096)
def _joined(*parts: Part) -> Part:
    """What is alike in all events that are made of these parts."""

    def union(of: Callable[[Part], tuple[str, ...]]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry for each in parts for entry in of(each)))

    tokens, strings, owners, telling = map(union, map(attrgetter, ("tokens", "strings", "owners", "telling")))
    return Part(tokens, strings, owners, telling)


@lru_cache(maxsize=4096)
def _shared(
    type_code: Code,
    subtypes: tuple[Code, ...],
    action: Action,
    outcome: Outcome,
    purposes: tuple[Code, ...],
    profiles: tuple[str, ...],
    agents: tuple[Agent, ...],
) -> Part:
    """What the events of one caller have in common besides what they are about."""
    more: dict[str, Any] = {"outcome": outcome, "purposes": purposes, "profiles": profiles}
    head = resource_of(Event(type_code, subtypes, action, _ANY_TIME, (), **more), "any")
    return _indexed({**head, "agent": [agent_json(each) for each in agents]})


def _indexed(elements: Resource) -> Part:
    found = index({"resourceType": "AuditEvent", **elements}, added=R4)
    held = tuple(each for each in found.tokens if _PLACE in each)
    tokens = tuple(each for each in found.tokens if _PLACE not in each)
    owners = compartments("AuditEvent", None, list(tokens))
    owned = tuple(compartments("AuditEvent", None, list(held)))
    telling = tuple(apart.entries(tokens, found.strings))
    tells = apart.telling(held)
    parts = tuple((each, each in tells) for each in held)
    return Part(tokens, tuple(found.strings), tuple(owners), telling, parts, owned)


def _part(entity: Entity) -> tuple[Part, str, str]:
    if entity.reference is not None:
        found = LOCAL_REFERENCE.match(entity.reference)
        if found is not None:
            target, resource_id, version_id = found.groups()
            part = _referring(entity.type, entity.role, entity.name, target, version_id is not None)
            return part, resource_id, version_id or ""
    elif entity.identifier is not None and _PLAIN.match(entity.identifier):
        return _identified(entity.type, entity.role, entity.name), entity.identifier, ""
    return _kept(entity._replace(query=None, details=())), "", ""


@lru_cache(maxsize=1024)
def _kept(entity: Entity) -> Part:
    return _indexed({"entity": [entity_json(entity)]})


@lru_cache(maxsize=1024)
def _identified(type_code: Code, role: Code | None, name: str | None) -> Part:
    return _kept(Entity(type_code, role, identifier=_PLACE, name=name))


@lru_cache(maxsize=1024)
def _referring(type_code: Code, role: Code | None, name: str | None, target: str, versioned: bool) -> Part:
    reference = f"{target}/{_PLACE}/_history/{_VERSION}" if versioned else f"{target}/{_PLACE}"
    return _kept(Entity(type_code, role, reference, name=name))
