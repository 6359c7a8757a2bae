"""Events of commands: what an operator did to a tenant, outside of any request.

https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fhir_server.fhir.audit import APPLICATION, AUTHOR, OBSERVER, Agent, Entity, Event
from fhir_server.fhir.audit_kinds import happened


def commanded(
    kind: str, command: str, recorded: datetime, people: Iterable[str] = (), entities: Iterable[Entity] = ()
) -> Event:
    """By a command, on the word of these people, whom the operator names."""
    program = Agent((APPLICATION,), display=f"{OBSERVER} {command}", requestor=True)
    named = (Agent((AUTHOR,), display=each) for each in people)
    return happened(kind, recorded, program, *named, entities=tuple(entities))
