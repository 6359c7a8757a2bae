"""The authorization endpoint: checks what an application asks for, and hands the browser to the pages for people.

RFC 6749 §3.1, https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
"""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from fhir_server.auth import form, provider
from fhir_server.auth.pages.page import trouble
from fhir_server.auth.provider import KEPT_BY_NOBODY
from fhir_server.auth.recorded import Recorded, note
from fhir_server.auth.refusal import Refused

router = APIRouter(prefix="/auth/{tenant}", route_class=Recorded, tags=["authorization"])


@router.get("/authorize", summary="Authorization request", response_class=Response, status_code=303)
async def by_get(tenant: str, request: Request) -> Response:
    return await _begun(tenant, request, form.parsed(request.scope["query_string"]))


@router.post("/authorize", summary="Authorization request as a form", response_class=Response, status_code=303)
async def by_post(tenant: str, request: Request) -> Response:
    """https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html: the capability authorize-post"""
    return await _begun(tenant, request, await form.pairs(request))


async def _begun(tenant: str, request: Request, params: list[tuple[str, str]]) -> Response:
    house = provider.of(request)
    await house.tenant(tenant)
    try:
        pending = await house.authorizations.begin(tenant, params)
    except Refused as problem:
        note(request, kind="refused", outcome="4", described=problem.error, client=dict(params).get("client_id"))
        return refused(problem)
    # RFC 9700 §4.12: 303, so that a form is never posted on.
    address = f"/auth/{tenant}/sign-in?{urlencode({'request': pending.id})}"
    return RedirectResponse(address, 303, headers=dict(KEPT_BY_NOBODY))


def refused(problem: Refused) -> Response:
    """To the application where that is certain, else to the person."""
    if problem.location is not None:
        return RedirectResponse(problem.location, 303, headers=dict(KEPT_BY_NOBODY))
    return trouble(400, "This is not possible", problem.description)
