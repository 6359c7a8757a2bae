"""provider, provider-answer: to the identity provider of the tenant and back.

https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
"""

from __future__ import annotations

import logging

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_server.auth import form
from fhir_server.auth.pages.asking import advanced, asked, vouching
from fhir_server.auth.pages.page import NOWHERE, PageRoute, Problem, set_cookie, visit_of
from fhir_server.auth.pages.signing_in import https_only, sign_in_page
from fhir_server.auth.recorded import note
from fhir_server.auth.refusal import OAuthError
from fhir_server.auth.sessions import Visit
from fhir_server.auth.upstream import NotVouched, Wish

LOGGER = logging.getLogger("fhir_server.people")

UNREADABLE = "The address that you were sent to is not as it should be. Please start again."

router = APIRouter(prefix="/auth/{tenant}", route_class=PageRoute, include_in_schema=False)


@router.get("/provider")
async def provider(tenant: str, request: Request) -> Response:
    """A link, not a form: browsers would hold the form to every address that the provider leads through."""
    visit, authorization = await visit_of(request, tenant), request.query_params.get("request", "")
    https_only(request)
    pending = await asked(request, tenant, authorization)
    upstream = await vouching(request).of(tenant)
    if upstream is None:
        raise Problem(404, "Nothing is here", NOWHERE)
    wish = Wish(authorization, (pending.prompt or "") if pending else "", pending.max_age if pending else None)
    try:
        address = await vouching(request).begin(upstream, visit.cookie, wish)
    except NotVouched as problem:
        return await _not_vouched(request, visit, problem)
    response = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    if visit.fresh:
        set_cookie(request, response, tenant, visit.cookie)
    return response


@router.get("/provider-answer")
async def provider_answer(tenant: str, request: Request) -> Response:
    visit = await visit_of(request, tenant)
    try:
        found = await vouching(request).finish(tenant, visit.cookie, _answer(request))
    except NotVouched as problem:
        return await _not_vouched(request, visit, problem)
    note(request, user=found.user, details=tuple(("method", each) for each in found.methods))
    return await advanced(request, visit, found.user, found.methods, found.request, since=found.since)


def _answer(request: Request) -> dict[str, str]:
    """RFC 6749 §3.1: no parameter more than once."""
    try:
        pairs = form.parsed(request.scope["query_string"])
    except OAuthError as problem:
        raise Problem(400, "This cannot be read", UNREADABLE) from problem
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Problem(400, "This cannot be read", UNREADABLE)
    return given


async def _not_vouched(request: Request, visit: Visit, problem: NotVouched) -> Response:
    """Nothing that came with the answer is shown. Whoever began it may try again."""
    fields = {"tenant": visit.tenant.name, "reason": str(problem)}
    LOGGER.info("sign-in elsewhere refused", extra={"fields": fields})
    if problem.lost:
        raise Problem(403, "Please start again", problem.said)
    pending = await asked(request, visit.tenant.name, problem.request)
    return await sign_in_page(
        request, visit, pending, status=403, errors={"provider": problem.said}, authorization=problem.request
    )
