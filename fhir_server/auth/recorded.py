"""What people and applications do at the authorization server leaves events, and no answer is let out before.

Handlers note what they learn of a request; here it becomes the event that its address stands for. 45 CFR 164.312(b)
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from fhir_server.auth.refusal import OAuthError
from fhir_server.crypto import base64url
from fhir_server.fhir import audit
from fhir_server.fhir.audit import Agent, Entity, Event, Outcome
from fhir_server.fhir.audit_kinds import HUMAN, happened
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import LOCAL_REFERENCE
from fhir_server.store.connection import Store
from fhir_server.store.users import User

Handler = Callable[[Request], Awaitable[Response]]

KINDS: Final[Mapping[tuple[str, str], str]] = {
    ("POST", "sign-in"): "login",
    ("POST", "second-factor"): "login",
    ("GET", "provider-answer"): "login",
    ("POST", "sign-out"): "logout",
    ("POST", "enrol"): "second-factor",
    ("POST", "recovery-codes"): "second-factor",
    ("POST", "password"): "password",
    ("POST", "consent"): "decision",
    ("POST", "take-back"): "token-revoked",
    ("POST", "token"): "token-issued",
    ("POST", "revoke"): "token-revoked",
    ("POST", "register"): "client",
    ("POST", "launch"): "launch",
    ("POST", "step-up"): "step-up",
    ("POST", "break-glass"): "break-glass",
}
"""By method and page or endpoint; others leave an event where a patient is shown, or something is refused."""

TOLD_WHEN_REFUSED: Final = frozenset({"authorize", "introspect", "userinfo"})


def note(request: Request, **facts: Any) -> None:
    """What the event of this request is to say; of facts with the same name the last one counts."""
    request.state.noted = {**noted(request), **{name: value for name, value in facts.items() if value is not None}}


def noted(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = getattr(request.state, "noted", {})
    return found


def issued(token: str) -> dict[str, Any]:
    """What an access token says that was just signed."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64url.decoded(part))
    return {
        "client": claims["client_id"],
        "subject": claims["sub"],
        "fhir_user": claims.get("fhirUser"),
        "roles": tuple(claims.get("roles") or ()),
        "token": claims["jti"],
        "patients": (claims["patient"],) if claims.get("patient") else None,
        "details": (("scope", claims["scope"]),),
    }


@dataclass(frozen=True, slots=True)
class Witness:
    """Tells the journal; `request_id` is that of the log."""

    store: Store
    public_url: str
    request_id: Callable[[Scope], str]

    async def told(self, request: Request, status: int, refused: str | None) -> None:
        """Raises where it cannot be recorded."""
        tenant, name = str(request.path_params.get("tenant", "")), request.url.path.rpartition("/")[2]
        facts = noted(request)
        kind = self._kind(request.method, name, status, facts)
        if kind is not None and await self.store.tenants.get(tenant) is not None:
            await self.store.journal.record(tenant, await self._event(request, tenant, kind, status, refused))

    def _kind(self, method: str, name: str, status: int, facts: Mapping[str, Any]) -> str | None:
        found = facts.get("kind") or KINDS.get((method, name))
        if status == 429 and found in ("login", "step-up"):
            return "lockout"
        if found is None and status >= 400 and name in TOLD_WHEN_REFUSED:
            return "refused"
        return found or ("choice" if facts.get("patients") else None)

    async def _event(self, request: Request, tenant: str, kind: str, status: int, refused: str | None) -> Event:
        facts = noted(request)
        host = request.client.host if request.client else None
        client = await self._client(tenant, facts.get("client"))
        user = _user(facts)
        agents = [
            Agent(
                (audit.APPLICATION,),
                identifier=client,
                display=None if client else "browser" if user else "not authenticated",
                requestor=user is None,
                address=host,
            ),
            Agent((audit.DESTINATION,), display=audit.OBSERVER, address=self._base(tenant), address_type="5"),
            *([user] if user else []),
        ]
        return happened(
            kind,
            datetime.now(UTC),
            *agents,
            outcome=facts.get("outcome") or _outcome(status),
            purposes=tuple(facts.get("purposes", ())),
            described=facts.get("described") or (f"{status} {refused}" if refused else None),
            entities=(*_entities(facts), audit.request(self.request_id(request.scope), ("status", str(status)))),
        )

    def _base(self, tenant: str) -> str:
        return f"{self.public_url}/auth/{tenant}"

    async def _client(self, tenant: str, claimed: str | None) -> str | None:
        """What somebody calls itself is recorded only where it is the name of a client."""
        known = await self.store.clients.get(tenant, claimed) if claimed else None
        return known.client_id if known else None


def recorded(answer: Handler) -> Handler:
    """The handler of an endpoint, its answer held back until the event is kept."""

    async def kept(request: Request) -> Response:
        witness: Witness | None = getattr(request.app.state, "witness", None)
        if witness is None:
            return await answer(request)
        try:
            response = await answer(request)
        except OAuthError as problem:
            await witness.told(request, problem.status, problem.body["error"])
            raise
        except FhirError as problem:
            await witness.told(request, problem.status, problem.issues[0].code)
            raise
        await witness.told(request, response.status_code, None)
        return response

    return kept


class Recorded(APIRoute):
    """An endpoint for programs that is recorded."""

    def get_route_handler(self) -> Any:
        return recorded(super().get_route_handler())


def _user(facts: Mapping[str, Any]) -> Agent | None:
    user: User | None = facts.get("user")
    reference = user.fhir_user if user else facts.get("fhir_user")
    subject = user.user_id if user else facts.get("subject")
    if subject is None:
        return None
    about = reference if reference and LOCAL_REFERENCE.match(reference) else None
    return Agent(
        (HUMAN, audit.OAUTH) if "token" in facts else (HUMAN,),
        reference=about,
        identifier=None if about else subject,
        requestor=True,
        policies=(f"{audit.JTI}{facts['token']}",) if "token" in facts else (),
        roles=tuple(user.roles if user else facts.get("roles", ())),
    )


def _entities(facts: Mapping[str, Any]) -> list[Entity]:
    about, details = facts.get("about"), tuple(facts.get("details", ()))
    matter = Entity(audit.OBJECT, audit.ROLES["Security Resource"], name=about, details=details)
    return [
        *([matter] if about or details else []),
        *(audit.patient(f"Patient/{each}") for each in facts.get("patients", ())),
    ]


def _outcome(status: int) -> Outcome:
    if status < 400:
        return "0"
    return "8" if status in (401, 403, 429) or status >= 500 else "4"
