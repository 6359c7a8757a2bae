"""Events worth a record, and the AuditEvents that say them.  https://hl7.org/fhir/R4/auditevent.html

The shapes of requests are those of IHE Basic Audit Log Patterns 1.1: https://profiles.ihe.net/ITI/BALP
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from fhir_server.fhir.resource import Resource, instant

Action = Literal["C", "R", "U", "D", "E"]
Outcome = Literal["0", "4", "8", "12"]
"""Success, minor failure (the request), serious failure (the server, or an attack), major failure."""


class Code(NamedTuple):
    """A Coding; like agents and entities a tuple, since these are compared and hashed at every request."""

    system: str
    code: str
    display: str | None = None

    def as_json(self) -> Resource:
        coding = {"system": self.system, "code": self.code}
        return coding if self.display is None else {**coding, "display": self.display}


class Agent(NamedTuple):
    """Who took part: a person or program named by a reference, an identifier, or only in words."""

    types: tuple[Code, ...]
    reference: str | None = None
    identifier: str | None = None
    display: str | None = None
    requestor: bool = False
    address: str | None = None
    address_type: str = "2"
    """1 is the name of a machine, 2 an IP address, 5 a URI. https://hl7.org/fhir/R4/valueset-network-type.html"""
    policies: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    purposes: tuple[Code, ...] = ()


class Entity(NamedTuple):
    """What it was about. `query` is already sealed: what was searched for says who was searched for."""

    type: Code
    role: Code | None = None
    reference: str | None = None
    """Relative, with its version where one was shown or written: `Observation/1/_history/2`."""
    identifier: str | None = None
    name: str | None = None
    query: bytes | None = None
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is given where something in it is sealed for this event alone; else whoever records it names it."""

    type: Code
    subtypes: tuple[Code, ...]
    action: Action
    recorded: datetime
    agents: tuple[Agent, ...]
    entities: tuple[Entity, ...] = ()
    outcome: Outcome = "0"
    described: str | None = None
    """For people, and nothing in it that is about a patient."""
    purposes: tuple[Code, ...] = ()
    profiles: tuple[str, ...] = ()
    id: str | None = None


DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
BALP: Final = "https://profiles.ihe.net/ITI/BALP/"
OURS: Final = "https://fhir-server.example/CodeSystem/audit-event"
"""Codes of this server, where no standard has one."""
JTI: Final = "urn:ietf:params:oauth:jti:"
OBSERVER: Final = "fhir-server"

_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"

PERSON: Final = Code(_ENTITY_TYPE, "1", "Person")
OBJECT: Final = Code(_ENTITY_TYPE, "2", "System Object")
REQUEST_ID: Final = Code(f"{BALP}CodeSystem/BasicAuditEntityType", "XrequestId")

ROLES: Final = {
    each.display: each
    for each in (
        Code(_ROLE, "1", "Patient"),
        Code(_ROLE, "4", "Domain Resource"),
        Code(_ROLE, "6", "User"),
        Code(_ROLE, "11", "Security User Entity"),
        Code(_ROLE, "13", "Security Resource"),
        Code(_ROLE, "17", "Data Repository"),
        Code(_ROLE, "20", "Job"),
        Code(_ROLE, "24", "Query"),
    )
}
"""By their names. https://hl7.org/fhir/R4/valueset-object-role.html"""

SOURCE: Final = Code(DCM, "110153", "Source Role ID")
DESTINATION: Final = Code(DCM, "110152", "Destination Role ID")
APPLICATION: Final = Code(DCM, "110150", "Application")
CUSTODIAN: Final = Code("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian")
RECIPIENT: Final = Code(_PARTICIPATION, "IRCP", "information recipient")
AUTHOR: Final = Code(_PARTICIPATION, "AUT", "author (originator)")
OAUTH: Final = Code(f"{BALP}CodeSystem/UserAgentTypes", "UserOauthAgent")
"""Who acts by an access token; `policies` has its id."""

APPLICATION_SERVER: Final = Code(
    "http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server"
)
BREAK_GLASS: Final = Code("http://terminology.hl7.org/CodeSystem/v3-ActReason", "BTG", "break the glass")


def data(reference: str, *details: tuple[str, str]) -> Entity:
    """A resource that was shown or written."""
    return Entity(OBJECT, ROLES["Domain Resource"], reference, details=details)


def patient(reference: str) -> Entity:
    """Whose data it was: `Patient/1`."""
    return Entity(PERSON, ROLES["Patient"], reference)


def query(sealed: bytes) -> Entity:
    return Entity(OBJECT, ROLES["Query"], query=sealed)


def request(request_id: str, *details: tuple[str, str]) -> Entity:
    """The request, by its X-Request-Id."""
    return Entity(REQUEST_ID, identifier=request_id, details=details)


def thing(role: str, name: str, *details: tuple[str, str]) -> Entity:
    """What is no resource: a key, a client, a user, a run. `role` is a name in `ROLES`."""
    return Entity(OBJECT, ROLES[role], name=name, details=details)


def resource_of(event: Event, resource_id: str) -> Resource:
    """The AuditEvent. Its parts are shared between resources and, like all resources, never changed in place."""
    recorded = instant(event.recorded)
    meta: Resource = {"versionId": "1", "lastUpdated": recorded}
    if event.profiles:
        meta["profile"] = list(event.profiles)
    return {
        "resourceType": "AuditEvent",
        "id": resource_id,
        "meta": meta,
        **head(event.type, event.subtypes, event.action),
        "recorded": recorded,
        "outcome": event.outcome,
        **({"outcomeDesc": event.described} if event.described else {}),
        **({"purposeOfEvent": [_concept((each,)) for each in event.purposes]} if event.purposes else {}),
        "agent": [agent_json(each) for each in event.agents],
        "source": _SOURCE,
        **({"entity": [entity_json(each) for each in event.entities]} if event.entities else {}),
    }


_SOURCE: Final[Resource] = {"observer": {"display": OBSERVER}, "type": [APPLICATION_SERVER.as_json()]}


@lru_cache(maxsize=256)
def head(type_code: Code, subtypes: tuple[Code, ...], action: str) -> Resource:
    subtype = [each.as_json() for each in subtypes]
    return {"type": type_code.as_json(), **({"subtype": subtype} if subtype else {}), "action": action}


@lru_cache(maxsize=4096)
def agent_json(agent: Agent) -> Resource:
    """Kept: the same few take part in event after event."""
    network = {"address": agent.address, "type": agent.address_type}
    found: dict[str, Any] = {
        "type": _concept(agent.types) if agent.types else None,
        "role": [{"text": each} for each in agent.roles],
        "who": _who(agent.reference, agent.identifier, agent.display),
        "requestor": agent.requestor,
        "policy": list(agent.policies),
        "network": network if agent.address else None,
        "purposeOfUse": [_concept((each,)) for each in agent.purposes],
    }
    return {name: value for name, value in found.items() if value is False or value}


def entity_json(entity: Entity) -> Resource:
    what = _who(entity.reference, entity.identifier, None)
    found: Resource = {"what": what} if what else {}
    found |= _classified(entity.type, entity.role)
    if entity.name is not None:
        found["name"] = entity.name
    if entity.query is not None:
        found["query"] = b64encode(entity.query).decode("ascii")
    if entity.details:
        found["detail"] = [{"type": name, "valueString": value} for name, value in entity.details]
    return found


@lru_cache(maxsize=256)
def _classified(type_code: Code, role: Code | None) -> Resource:
    found = {"type": type_code.as_json()}
    return found if role is None else {**found, "role": role.as_json()}


def _who(reference: str | None, identifier: str | None, display: str | None) -> Resource:
    if reference is not None:
        return {"reference": reference}
    if identifier is not None:
        return {"identifier": {"value": identifier}}
    return {"display": display} if display else {}


def _concept(codes: tuple[Code, ...]) -> Resource:
    return {"coding": [each.as_json() for each in codes]}
