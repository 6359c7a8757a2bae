"""account: what applications may do, taken back with a click; the way to change password and recovery codes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.access import words
from fhir_server.access.scopes import PLAIN, Scopes
from fhir_server.auth.pages.choosing import patient_of
from fhir_server.auth.pages.consenting import CONTEXT, LASTING
from fhir_server.auth.pages.forms import received
from fhir_server.auth.pages.labels import name_of
from fhir_server.auth.pages.page import PageRoute, show, signed_in, store_of, to
from fhir_server.auth.recorded import note
from fhir_server.auth.sessions import Visit
from fhir_server.store.grants import Grant

router = APIRouter(prefix="/auth/{tenant}", route_class=PageRoute, include_in_schema=False)

SAID = {
    "revoked": "The application may do nothing any more.",
    "password": "That was not your password; nothing has been changed.",
    "wait": "There were too many wrong tries. Wait some minutes, then try again.",
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """A grant as it is shown."""

    grant_id: str
    client: str
    since: datetime
    patient: str | None
    may: tuple[str, ...]
    lasting: bool


@router.get("/account")
async def account(tenant: str, request: Request) -> Response:
    visit = await signed_in(request, tenant)
    store = store_of(request)
    grants = await store.grants.of_user(tenant, visit.user.user_id) if visit.user else []
    return show(
        request,
        visit,
        "account",
        person=visit.person,
        second=visit.user is not None and visit.user.secret is not None,
        passwords=visit.tenant.setting("passwords") == "on",
        left=len(visit.user.recovery) if visit.user else 0,
        allowed=[await _allowed(request, visit, each) for each in grants],
        said=SAID.get(request.query_params.get("said", "")),
    )


@router.post("/take-back")
async def take_back(tenant: str, request: Request) -> Response:
    """A grant of one's own, with all its tokens, in every process within a second."""
    form = await received(request, tenant)
    if form.visit.missing or form.visit.user is None:
        return to(form.visit.missing or "sign-in")
    note(request, user=form.visit.user)
    store = store_of(request)
    grant = await store.grants.get(tenant, form["grant"])
    if grant is not None and grant.user == form.visit.user.user_id:
        note(request, client=grant.client, about=grant.grant_id)
        await store.grants.end(tenant, grant.grant_id)
        await store.revocations.revoke(tenant, "grant", grant.grant_id)
    return to("account", said="revoked")


async def _allowed(request: Request, visit: Visit, grant: Grant) -> Allowed:
    client = await store_of(request).clients.get(grant.tenant, grant.client)
    patient = await patient_of(request, visit, grant.patient) if grant.patient else None
    plain = [words.plain(each) for each in grant.scopes if each in PLAIN - CONTEXT]
    scopes = Scopes.granted(" ".join(grant.scopes)).resources
    return Allowed(
        grant.grant_id,
        client.name if client else grant.client,
        grant.created,
        name_of(patient) if patient else None,
        (*map(words.sentence, scopes), *plain),
        LASTING in grant.scopes,
    )
