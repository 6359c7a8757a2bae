"""sign-in, second-factor, sign-out: from nobody to somebody and back.

https://pages.nist.gov/800-63-4/sp800-63b.html
"""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth.authorization import Pending
from fhir_server.auth.pages.asking import advanced, answer, asked, is_recent, people, vouching
from fhir_server.auth.pages.forms import Form, received
from fhir_server.auth.pages.page import (
    PageRoute,
    Problem,
    forget_cookie,
    sessions,
    set_cookie,
    show,
    stylesheet,
    to,
    visit_of,
)
from fhir_server.auth.people import PASSWORD, RECOVERY, SEVERAL, NotProven
from fhir_server.auth.recorded import note
from fhir_server.auth.sessions import Visit, missing
from fhir_server.auth.totp import digest
from fhir_server.store.users import User

router = APIRouter(prefix="/auth/{tenant}", route_class=PageRoute, include_in_schema=False)

WRONG = "The name or the password is not right."
WRONG_CODE = "This code is not right, or has been used already. Wait for the next one."
NO_PASSWORDS = "Nobody signs in with a password here. Go back to the page before and take the other way in."
YEAR = 31_536_000


@router.get("/sign-in")
async def sign_in(tenant: str, request: Request) -> Response:
    visit, authorization = await visit_of(request, tenant), request.query_params.get("request", "")
    pending = await asked(request, tenant, authorization)
    recent = visit.missing is None and (pending is None or is_recent(visit, pending))
    if pending is not None and "none" in (pending.prompt or "").split():
        # OpenID Connect Core §3.1.2.1: nothing is shown; consent is asked for each time.
        return await answer(request, pending, "consent_required" if recent else "login_required")
    if recent:
        return to("continue", authorization)
    https_only(request)
    return await sign_in_page(request, visit, pending, authorization=authorization)


@router.post("/sign-in")
async def signed_in(tenant: str, request: Request) -> Response:
    form = await received(request, tenant)
    if form.visit.tenant.setting("passwords") == "off":
        raise Problem(403, "Sign in another way", NO_PASSWORDS)
    pending = await asked(request, tenant, form["request"])
    host = request.client.host if request.client else ""
    try:
        user = await people(request).by_password(
            tenant, form["username"], form["password"], host=host, device=form.visit.device
        )
    except NotProven as problem:
        note(request, user=await people(request).users.get(tenant, form["username"]))
        return await sign_in_page(
            request,
            form.visit,
            pending,
            status=429 if problem.wait else 403,
            errors={"username": later(problem.wait) if problem.wait else WRONG},
            authorization=form["request"],
            username=form["username"][:128],
        )
    note(request, user=user, details=(("method", PASSWORD),))
    response = await advanced(request, form.visit, user, (PASSWORD,), form["request"])
    if missing(form.visit.tenant, user, (PASSWORD,)) is None:
        await _remember(request, response, form, user)
    return response


@router.get("/second-factor")
async def second_factor(tenant: str, request: Request) -> Response:
    visit, authorization = await visit_of(request, tenant), request.query_params.get("request", "")
    if visit.missing != "second-factor":
        return to(visit.missing or "continue", authorization)
    pending = await asked(request, tenant, authorization)
    leads_to = pending.redirect_uri if pending else None
    return show(request, visit, "second_factor", leads_to=leads_to, authorization=authorization)


@router.post("/second-factor")
async def second_factor_given(tenant: str, request: Request) -> Response:
    form = await received(request, tenant)
    visit, authorization = form.visit, form["request"]
    if visit.missing != "second-factor" or visit.user is None or visit.session is None:
        return to(visit.missing or "continue", authorization)
    note(request, user=visit.user)
    try:
        method = await people(request).by_code(visit.user, form["code"])
    except NotProven as problem:
        said = later(problem.wait) if problem.wait else WRONG_CODE
        status = 429 if problem.wait else 403
        return show(request, visit, "second_factor", status=status, errors={"code": said}, authorization=authorization)
    note(request, details=(("method", method),))
    response = await advanced(request, visit, visit.user, (*visit.session.methods, method, SEVERAL), authorization)
    if method != RECOVERY:
        await _remember(request, response, form, visit.user)
    return response


@router.post("/sign-out")
async def sign_out(tenant: str, request: Request) -> Response:
    """Everywhere, for who is wholly signed in; who is halfway gives up this attempt only."""
    form = await received(request, tenant)
    user, session = form.visit.user, form.visit.session
    note(request, user=user)
    if session is not None and form.visit.missing:
        await people(request).leave(session)
    elif user is not None:
        await people(request).sign_out(user)
    response = to("sign-in", form["request"]) if form["request"] else to("signed-out")
    forget_cookie(request, response, tenant)
    return response


@router.get("/signed-out")
async def signed_out(tenant: str, request: Request) -> Response:
    visit = await visit_of(request, tenant)
    upstream = await vouching(request).of(tenant)
    leaving = await vouching(request).leaving(upstream) if upstream else None
    return show(request, visit, "signed_out", provider=upstream.title if upstream else None, leaving=leaving)


@router.get("/style-{digest}.css")
async def style(digest: str) -> Response:
    """The style sheet of all pages. RFC 8246"""
    name, content = stylesheet()
    kept = f"public, max-age={YEAR}, immutable" if name == f"style-{digest}.css" else "no-store"
    return Response(content, media_type="text/css", headers={"Cache-Control": kept})


def https_only(request: Request) -> None:
    if not sessions(request).possible:
        raise Problem(403, "This needs https", "Passwords are not sent over a connection that others can read.")


async def sign_in_page(
    request: Request,
    visit: Visit,
    pending: Pending | None,
    *,
    authorization: str,
    status: int = 200,
    errors: dict[str, str] | None = None,
    username: str = "",
) -> Response:
    """With the ways in that this tenant has: a password, a provider elsewhere, or both."""
    upstream = await vouching(request).of(visit.tenant.name)
    return show(
        request,
        visit,
        "sign_in",
        status=status,
        leads_to=pending.redirect_uri if pending else None,
        errors=errors or {},
        authorization=authorization,
        client=pending.client_name if pending else None,
        username=username,
        provider=upstream.title if upstream else None,
        passwords=visit.tenant.setting("passwords") == "on",
    )


def later(wait: timedelta) -> str:
    """The same whether there is such a user or not."""
    seconds = int(wait.total_seconds()) + 1
    units = ((86_400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
    size, unit = next((size, unit) for size, unit in units if seconds >= 2 * size or size == 1)
    return f"There were too many wrong tries. Wait {-(-seconds // size)} {unit}, then try again."


async def _remember(request: Request, response: Response, form: Form, user: User) -> None:
    """Strangers' failures do not keep somebody out of a browser in which all went well once."""
    known = form.visit.device is not None and digest(form.visit.device) in user.devices
    if not known:
        device = await people(request).remember_device(user)
        set_cookie(request, response, user.tenant, device, kind="device")
