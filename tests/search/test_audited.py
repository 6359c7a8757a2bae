"""Events of our own are indexed as everything else is.  https://hl7.org/fhir/R4/auditevent.html#search"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from fhir_server.fhir import audit, validate
from fhir_server.fhir.audit import Agent, Event
from fhir_server.fhir.audit_kinds import KINDS, MANNERS, happened
from fhir_server.fhir.resource import Resource
from fhir_server.search import apart
from fhir_server.search.audited import index_of
from fhir_server.search.index import index

NOW = datetime(2026, 2, 3, 4, 5, 6, 789_123, UTC)
PERSON = Agent(
    (audit.RECIPIENT, audit.OAUTH), "Practitioner/p1", requestor=True, policies=(f"{audit.JTI}1",), roles=("clinician",)
)
CLIENT = Agent((audit.DESTINATION,), identifier="growth|chart", address="2001:db8::1")
SERVER = Agent((audit.SOURCE,), display="fhir-server", address="https://fhir.example/fhir/a", address_type="5")


def _event(**more: Any) -> Event:
    kind, profiles = MANNERS["read"].kind, MANNERS["read"].profiles(1)
    return Event(kind.type, kind.subtypes, kind.action, NOW, (CLIENT, SERVER, PERSON), profiles=profiles, **more)


ARRAYS = ("tok", "str", "cmp", "ref")

EVENTS = {
    "nobody": _event(),
    "read": _event(entities=(audit.data("Group/o1/_history/3"), audit.patient("Patient/p1"), audit.request("r-1"))),
    "patients": _event(entities=(audit.query(b"sealed"), audit.patient("Patient/p1"), audit.patient("Patient/p2"))),
    "person": _event(entities=(audit.data("Practitioner/p1"),)),
    "refused": _event(outcome="4", described="Not found.", purposes=(audit.BREAK_GLASS,)),
    "odd": _event(entities=(audit.request("a|b c"), audit.data("https://elsewhere.example/Patient/9"))),
    "elsewhere": replace(_event(), recorded=NOW.astimezone(timezone(timedelta(hours=5)))),
    "patient": replace(_event(), agents=(PERSON._replace(reference="Patient/p7"),)),
    **{kind: happened(kind, NOW, PERSON, entities=(audit.thing("Job", "a Näme"),)) for kind in KINDS},
    **{f"rest {code}": replace(_event(), subtypes=found.kind.subtypes) for code, found in MANNERS.items()},
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_the_index_of_the_parts_is_that_of_the_whole(event: Event) -> None:
    whole, parts = (each.as_document() for each in (index(audit.resource_of(event, "e1")), index_of(event, "e1")))
    assert {name: sorted(value) if name in ARRAYS else value for name, value in parts.items()} == {
        name: sorted(value) if name in ARRAYS else value for name, value in whole.items()
    }


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_every_event_is_a_valid_resource(event: Event) -> None:
    validate.check(audit.resource_of(event, "e1"))


def _sent(value: str) -> Resource:
    """An event that somebody else has recorded."""
    return {
        "resourceType": "AuditEvent",
        "type": {"code": value},
        "subtype": [{"system": "urn:x", "code": value}],
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [{"requestor": True, "altId": value, "who": {"identifier": {"value": value}}, "policy": [value]}],
        "source": {"site": value, "observer": {"reference": value}},
        "entity": [{"what": {"reference": value, "identifier": {"system": "urn:y", "value": value}}}],
    }


SENT = (
    "x",
    "a=|b",
    "urn:x/_history/1",
    "https://x/Patient/1/_history/2",
    "Patient/1/_history/2",
    "#",
    "rest",
    "A|B",
    "=|",
)


@pytest.mark.parametrize("resource", [*(audit.resource_of(each, "e1") for each in EVENTS.values()), *map(_sent, SENT)])
def test_whatever_has_an_entry_has_what_is_indexed_instead(resource: Resource) -> None:
    found = index(resource)
    for token in found.tokens:
        asked = apart.entering({"tok": token})
        assert asked.keys() <= {"tok", "ref"}
        assert asked.get("tok", token) == token
        assert asked.get("ref") in (None, *(found.telling or ()))
