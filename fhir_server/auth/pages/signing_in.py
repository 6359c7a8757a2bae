"""sign-in, second-factor, sign-out: from nobody to somebody and back.

https://pages.nist.gov/800-63-4/sp800-63b.html
"""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth.pages.asking import advanced, answer, asked, is_recent, people
from fhir_server.auth.pages.forms import Form, received
from fhir_server.auth.pages.page import (
    PageRoute,
    forget_cookie,
    sessions,
    set_cookie,
    show,
    stylesheet,
    to,
    trouble,
    visit_of,
)
from fhir_server.auth.people import PASSWORD, RECOVERY, NotProven
from fhir_server.auth.sessions import missing
from fhir_server.auth.totp import digest
from fhir_server.store.users import User

router = APIRouter(prefix="/auth/{tenant}", route_class=PageRoute, include_in_schema=False)

WRONG = "The name or the password is not right."
WRONG_CODE = "This code is not right, or has been used already. Wait for the next one."
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
    if not sessions(request).possible:
        return trouble(403, "This needs https", "Passwords are not sent over a connection that others can read.")
    return show(
        request,
        visit,
        "sign_in",
        leads_to=pending.redirect_uri if pending else None,
        authorization=authorization,
        client=pending.client_name if pending else None,
        username="",
    )


@router.post("/sign-in")
async def signed_in(tenant: str, request: Request) -> Response:
    form = await received(request, tenant)
    pending = await asked(request, tenant, form["request"])
    host = request.client.host if request.client else ""
    try:
        user = await people(request).by_password(
            tenant, form["username"], form["password"], host=host, device=form.visit.device
        )
    except NotProven as problem:
        return show(
            request,
            form.visit,
            "sign_in",
            status=429 if problem.wait else 403,
            leads_to=pending.redirect_uri if pending else None,
            errors={"username": later(problem.wait) if problem.wait else WRONG},
            authorization=form["request"],
            client=pending.client_name if pending else None,
            username=form["username"][:128],
        )
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
    try:
        method = await people(request).by_code(visit.user, form["code"])
    except NotProven as problem:
        said = later(problem.wait) if problem.wait else WRONG_CODE
        status = 429 if problem.wait else 403
        return show(request, visit, "second_factor", status=status, errors={"code": said}, authorization=authorization)
    response = await advanced(request, visit, visit.user, (*visit.session.methods, method, "mfa"), authorization)
    if method != RECOVERY:
        await _remember(request, response, form, visit.user)
    return response


@router.post("/sign-out")
async def sign_out(tenant: str, request: Request) -> Response:
    """Everywhere, for who is wholly signed in; who is halfway gives up this attempt only."""
    form = await received(request, tenant)
    user, session = form.visit.user, form.visit.session
    if session is not None and form.visit.missing:
        await people(request).leave(session)
    elif user is not None:
        await people(request).sign_out(user)
    response = to("sign-in", form["request"]) if form["request"] else to("signed-out")
    forget_cookie(request, response, tenant)
    return response


@router.get("/signed-out")
async def signed_out(tenant: str, request: Request) -> Response:
    return show(request, await visit_of(request, tenant), "signed_out")


@router.get("/style-{digest}.css")
async def style(digest: str) -> Response:
    """The style sheet of all pages. RFC 8246"""
    name, content = stylesheet()
    kept = f"public, max-age={YEAR}, immutable" if name == f"style-{digest}.css" else "no-store"
    return Response(content, media_type="text/css", headers={"Cache-Control": kept})


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
