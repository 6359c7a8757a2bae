"""A request as the event that records it: who asked, what was shown or written, and whose data it was.

The shapes are those of IHE Basic Audit Log Patterns: https://profiles.ihe.net/ITI/BALP/content.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from fhir_server.access.caller import BREAK_GLASS, TREATMENT, Caller
from fhir_server.crypto import aead
from fhir_server.fhir import audit
from fhir_server.fhir.audit import Action, Agent, Code, Entity, Event, Outcome
from fhir_server.fhir.audit_kinds import Manner, manner
from fhir_server.fhir.resource import LOCAL_REFERENCE
from fhir_server.store.ids import uuid7
from fhir_server.store.recording import Trail, portions

NAMED: Final = 20
"""Resources that have an entity each; the others are listed in the details of one."""

REFUSED_BEFORE: Final = "none"
"""The interaction of a request that was refused before it had one."""

DENIED: Final = Code(audit.OURS, "denied", "Access denied")
ALERTS: Final = {"page-link": Code(audit.OURS, "page-link", "A page link was used by another caller")}

_ACTIONS: Final[dict[str, Action]] = {"POST": "C", "PUT": "U", "PATCH": "U", "DELETE": "D"}
_CODES: Final = {"POST": "create", "PUT": "update", "DELETE": "delete"}
"""How a write is called by the method that its version keeps."""

_PLAIN: Final = frozenset({"read", "vread", "create", "update", "patch", "delete"})
"""Interactions whose address says nothing that the event does not say, unless it has a query."""
_SHOWN: Final = frozenset({"read", "vread"})
_OF_INSTANCE: Final = frozenset({"history-instance", "operation"})


@dataclass(slots=True)
class Asked:
    """One request, filled in as it is understood."""

    tenant: str
    base: str
    """The public address of its FHIR base."""
    request_id: str
    method: str
    url: str
    """Relative to the base, with the query or the form of a search: never recorded in clear."""
    key: Callable[[], Awaitable[bytes]]
    """What the tenant seals with."""
    host: str | None = None
    caller: Caller | None = None
    interaction: str = REFUSED_BEFORE
    status: int = 0
    refused: str | None = None
    """The code of the issue."""
    alert: str | None = None

    async def events(self, trail: Trail) -> list[Event]:
        """One, unless there are more patients than one names."""
        return await self._said(self.interaction, trail)

    async def of_part(self, trail: Trail) -> list[Event]:
        """Of one entry of a batch that has written something."""
        return await self._said(_CODES.get(next(iter(trail.written.values())), self.interaction), trail)

    async def _said(self, code: str, trail: Trail) -> list[Event]:
        if self.status >= 400:
            trail = Trail()
        found, key = manner(code), None
        if self.status >= 400 or code not in _PLAIN or "?" in self.url:
            key = await self.key()
        return [self._event(found, code, trail, patients, key) for patients in portions(trail.patients)]

    def _event(self, found: Manner, code: str, trail: Trail, patients: list[str], key: bytes | None) -> Event:
        event_id = uuid7()
        return Event(
            found.kind.type,
            self._subtypes(found, code),
            _ACTIONS.get(self.method, "R") if code == REFUSED_BEFORE else found.kind.action,
            datetime.now(UTC),
            self._agents(found),
            tuple(self._entities(code, trail, patients, key, event_id)),
            outcome=_outcome(self.status),
            described=f"{self.status} {self.refused}" if self.refused else None,
            purposes=self._purposes(),
            profiles=found.profiles(len(trail.patients)) if self.status < 400 else (),
            id=event_id,
        )

    def _purposes(self) -> tuple[Code, ...]:
        """Treatment is what is done here; anything else is said. https://hl7.org/fhir/R4/v3/PurposeOfUse/vs.html"""
        if self.caller is None or self.caller.purpose == TREATMENT:
            return ()
        return (Code("http://terminology.hl7.org/CodeSystem/v3-ActReason", self.caller.purpose),)

    def _subtypes(self, found: Manner, code: str) -> tuple[Code, ...]:
        named = self.url.partition("?")[0].rpartition("/")[2]
        operation = (Code(audit.OURS, named),) if code == "operation" else ()
        denied = (DENIED,) if self.status in (401, 403) else ()
        alert = (ALERTS[self.alert],) if self.alert else ()
        return (*found.kind.subtypes, *operation, *denied, *alert)

    def _agents(self, found: Manner) -> tuple[Agent, ...]:
        caller = self.caller
        if caller is None:
            return _strangers(found, self.host, self.base)
        who = (caller.client_id, caller.subject, caller.fhir_user, caller.roles, caller.token_id)
        return _agents(found, *who, self.host, self.base)

    def _entities(
        self, code: str, trail: Trail, patients: list[str], key: bytes | None, event_id: str
    ) -> Iterator[Entity]:
        yield from self._resources(code, trail)
        if key is not None:
            yield audit.query(sealed(key, self.tenant, event_id, f"{self.method} {self.url}"))
        for each in patients or self._opened():
            yield audit.patient(each)
        yield audit.request(self.request_id, *self._details(code, trail))

    def _opened(self) -> list[str]:
        """For whom the glass was broken: in every event of it, also of what was refused."""
        caller = self.caller
        return [f"Patient/{caller.patient}"] if caller and caller.purpose == BREAK_GLASS and caller.patient else []

    def _resources(self, code: str, trail: Trail) -> Iterator[Entity]:
        named = list(trail.written or (trail.shown if code in _PLAIN else ()))
        if not named and self.status < 400 and code in _OF_INSTANCE:
            about = "/".join(self.url.partition("?")[0].split("/")[:2])
            named = [about] if LOCAL_REFERENCE.match(about) else []
        for each in named[:NAMED]:
            yield audit.data(each)
        if len(named) > NAMED:
            rest = tuple(("resource", each) for each in named[NAMED:])
            yield Entity(audit.OBJECT, audit.ROLES["Domain Resource"], details=rest)

    def _details(self, code: str, trail: Trail) -> Iterator[tuple[str, str]]:
        if self.status:
            yield "status", str(self.status)
        if code not in _PLAIN and self.status < 400:
            yield "results", str(len(trail.shown))


def sealed(key: bytes, tenant: str, event_id: str, text: str) -> bytes:
    return aead.seal(key, text.encode(), _bound(tenant, event_id))


def unsealed(key: bytes, tenant: str, event_id: str, query: bytes) -> str:
    """What was asked; `SealBroken` where it belongs to another event."""
    return aead.unseal(key, query, _bound(tenant, event_id)).decode()


def _bound(tenant: str, event_id: str) -> bytes:
    return f"{tenant}|AuditEvent|{event_id}".encode()


def _outcome(status: int) -> Outcome:
    """A denial is serious: it is what somebody who looks for intruders looks for."""
    if status < 400:
        return "0"
    return "8" if status in (401, 403) or status >= 500 else "4"


@lru_cache(maxsize=4096)
def _agents(
    found: Manner,
    client_id: str,
    subject: str,
    fhir_user: str | None,
    roles: tuple[str, ...] | None,
    token_id: str | None,
    host: str | None,
    base: str,
) -> tuple[Agent, ...]:
    """Kept: a caller makes many requests."""
    about = fhir_user if fhir_user and LOCAL_REFERENCE.match(fhir_user) else None
    user = Agent(
        (found.user, audit.OAUTH) if token_id else (found.user,),
        reference=about,
        identifier=None if about else subject,
        requestor=True,
        policies=(f"{audit.JTI}{token_id}",) if token_id else (),
        roles=roles or (),
    )
    return (Agent((found.client,), identifier=client_id, address=host), server(found.server, base), user)


@lru_cache(maxsize=1024)
def _strangers(found: Manner, host: str | None, base: str) -> tuple[Agent, ...]:
    """Whoever did not prove who they are."""
    client = Agent((found.client,), display="not authenticated", requestor=True, address=host)
    return client, server(found.server, base)


def server(part: Code, base: str) -> Agent:
    return Agent((part,), display=audit.OBSERVER, address=base, address_type="5")
