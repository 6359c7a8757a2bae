"""The search index of events of our own, put together from the indexes of their parts.

The index of an AuditEvent is the union of those of its elements, and events share most of these: each part is indexed
once, by the same walk as everything else, and remembered. https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from fhir_server.fhir.audit import Action, Agent, Code, Entity, Event, Outcome, agent_json, entity_json, resource_of
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource
from fhir_server.search.index import Index, compartments, index
from fhir_server.search.own import R4, ParameterSet
from fhir_server.search.types import date

Part = tuple[tuple[str, ...], tuple[str, ...]]
"""Entries of `tok` and of `str`."""

_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_PLACE = "place-held"
_VERSION = "version-held"
_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")
"""Identifiers that stand in index entries as they are."""


def index_of(event: Event, resource_id: str, added: ParameterSet = R4) -> Index:
    """What `search.index.index` gives for the resource of the event, its entries in another order."""
    if added.on("AuditEvent") is not R4:
        return index(resource_of(event, resource_id), added=added)
    parts = [
        _head(event.type, event.subtypes, event.action, event.outcome, event.purposes, event.profiles),
        *map(_agent, event.agents),
        *map(_entity, event.entities),
    ]
    tokens = _union(each[0] for each in parts)
    moment = event.recorded.replace(microsecond=event.recorded.microsecond // 1000 * 1000).astimezone(UTC)
    return Index(
        tokens=tokens,
        strings=_union(each[1] for each in parts),
        dates=date.rows("date", [date.Span(moment, moment + date.MILLISECOND)]),
        numbers=[],
        compartments=compartments("AuditEvent", resource_id, tokens),
        date=moment,
    )


def _union(parts: Iterable[tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(parts)))


def _indexed(elements: Resource) -> Part:
    found = index({"resourceType": "AuditEvent", **elements}, added=R4)
    return tuple(found.tokens), tuple(found.strings)


@lru_cache(maxsize=1024)
def _head(
    type_code: Code,
    subtypes: tuple[Code, ...],
    action: Action,
    outcome: Outcome,
    purposes: tuple[Code, ...],
    profiles: tuple[str, ...],
) -> Part:
    """What events have in common besides who and what."""
    more: dict[str, Any] = {"outcome": outcome, "purposes": purposes, "profiles": profiles}
    return _indexed(resource_of(Event(type_code, subtypes, action, _ANY_TIME, (), **more), "any"))


@lru_cache(maxsize=4096)
def _agent(agent: Agent) -> Part:
    return _indexed({"agent": [agent_json(agent)]})


def _entity(entity: Entity) -> Part:
    """The entries of what is alike but for an id, with the id put into them."""
    alike = (entity.type, entity.role, entity.name)
    if entity.reference is not None:
        found = LOCAL_REFERENCE.match(entity.reference)
        if found is not None:
            return _filled(_referring(*alike, found[1], found[3] is not None), found[2], found[3])
    elif entity.identifier is not None and _PLAIN.match(entity.identifier):
        return _filled(_kept(Entity(*alike, identifier=_PLACE)), entity.identifier)
    return _kept(replace(entity, query=None, details=()))


@lru_cache(maxsize=1024)
def _kept(entity: Entity) -> Part:
    return _indexed({"entity": [entity_json(entity)]})


@lru_cache(maxsize=1024)
def _referring(type_code: Code, role: Code | None, name: str | None, target: str, versioned: bool) -> Part:
    reference = f"{target}/{_PLACE}/_history/{_VERSION}" if versioned else f"{target}/{_PLACE}"
    return _kept(Entity(type_code, role, reference, name=name))


def _filled(part: Part, resource_id: str, version_id: str | None = None) -> Part:
    tokens = [each.replace(_PLACE, resource_id) if _PLACE in each else each for each in part[0]]
    if version_id is not None:
        tokens = [each.replace(_VERSION, version_id) if _VERSION in each else each for each in tokens]
    return tuple(tokens), part[1]
