"""The search index of events of our own, put together from the indexes of their parts.

The index of an AuditEvent is the union of those of its elements, and events share most of these: each part is indexed
once, by the same walk as everything else, and remembered. https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_server.fhir.audit import Action, Agent, Code, Entity, Event, Outcome, agent_json, entity_json, resource_of
from fhir_server.fhir.primitives import whole_milliseconds
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource
from fhir_server.search.index import Index, compartments, index
from fhir_server.search.own import R4, ParameterSet
from fhir_server.search.types import date


class Part(NamedTuple):
    """Entries of `tok`, `str` and `cmp`; in those of `held` and `owned` an id is still to be put into its place."""

    tokens: tuple[str, ...]
    strings: tuple[str, ...]
    owners: tuple[str, ...]
    held: tuple[str, ...] = ()
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
    tokens, strings, owners = (dict.fromkeys(each) for each in shared[:3])
    for entity in event.entities:
        _add(entity, tokens, strings, owners)
    moment = whole_milliseconds(event.recorded).astimezone(UTC)
    dates = date.rows("date", [date.Span(moment, moment + date.MILLISECOND)])
    return Index(list(tokens), list(strings), dates, [], list(owners), moment)


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
    return Part(tokens, tuple(found.strings), tuple(owners), held, tuple(compartments("AuditEvent", None, list(held))))


def _add(entity: Entity, tokens: dict[str, None], strings: dict[str, None], owners: dict[str, None]) -> None:
    """The entries of what is alike but for an id, with the id put into them."""
    part, resource_id, version_id = _part(entity)
    for each in part.tokens:
        tokens[each] = None
    for each in part.strings:
        strings[each] = None
    for each in part.owners:
        owners[each] = None
    for each in part.held:
        tokens[each.replace(_PLACE, resource_id).replace(_VERSION, version_id)] = None
    for each in part.owned:
        owners[each.replace(_PLACE, resource_id)] = None


def _part(entity: Entity) -> tuple[Part, str, str]:
    if entity.reference is not None:
        found = LOCAL_REFERENCE.match(entity.reference)
        if found is not None:
            target, resource_id, version_id = found.groups()
            part = _referring(entity.type, entity.role, entity.name, target, version_id is not None)
            return part, resource_id, version_id or ""
    elif entity.identifier is not None and _PLAIN.match(entity.identifier):
        return _identified(entity.type, entity.role, entity.name), entity.identifier, ""
    return _kept(replace(entity, query=None, details=())), "", ""


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
