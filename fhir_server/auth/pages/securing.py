"""enrol, recovery-codes, password: what people prove who they are with, and change themselves.

https://pages.nist.gov/800-63-4/sp800-63b.html#binding
"""

from __future__ import annotations

import segno
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth import totp
from fhir_server.auth.pages.asking import people, renewed
from fhir_server.auth.pages.forms import received
from fhir_server.auth.pages.page import PageRoute, safe, sessions, show, to, visit_of
from fhir_server.auth.pages.signing_in import WRONG_CODE, later
from fhir_server.auth.passwords import ALONE, WITH_SECOND
from fhir_server.auth.people import CODE, SEVERAL, NotProven
from fhir_server.auth.recorded import note
from fhir_server.auth.sessions import Visit
from fhir_server.store.sessions import Session
from fhir_server.store.users import User

router = APIRouter(prefix="/auth/{tenant}", route_class=PageRoute, include_in_schema=False)

WRONG_PASSWORD = "This is not the password you have now."  # noqa: S105 - a sentence
DIFFERENT = "The two are not the same. Type the new password again."


@router.get("/enrol")
async def enrol(tenant: str, request: Request) -> Response:
    visit, authorization = await visit_of(request, tenant), request.query_params.get("request", "")
    return await _enrolling(request, visit, authorization)


@router.post("/enrol")
async def enrolled(tenant: str, request: Request) -> Response:
    form = await received(request, tenant)
    visit, authorization = form.visit, form["request"]
    secret = visit.session.notes.get("enrol") if visit.session else None
    if not _may_enrol(visit) or visit.user is None or visit.session is None or secret is None:
        return to(visit.missing or "account", authorization)
    note(request, user=visit.user, about="second factor")
    secret = await people(request).users.unsealed(visit.user, secret)
    try:
        codes = await people(request).enrol(visit.user, secret, form["code"])
    except NotProven:
        return await _enrolling(request, visit, authorization, status=403, errors={"code": WRONG_CODE})
    return await _with_codes(request, visit, visit.user, visit.session, codes, authorization)


@router.post("/recovery-codes")
async def recovery_codes(tenant: str, request: Request) -> Response:
    """New ones, for who has the password."""
    form = await received(request, tenant)
    visit = form.visit
    if visit.missing or visit.user is None or visit.session is None or not visit.user.secret:
        return to(visit.missing or "account")
    note(request, user=visit.user, about="recovery codes")
    said = await _not_proven(request, visit.user, form["password"])
    if said:
        note(request, outcome="8", described="not proven")
        return to("account", said="password") if said == WRONG_PASSWORD else to("account", said="wait")
    codes = await people(request).new_recovery_codes(visit.user)
    return show(request, visit, "recovery_codes", codes=codes, authorization="")


@router.get("/password")
async def password(tenant: str, request: Request) -> Response:
    visit, authorization = await visit_of(request, tenant), request.query_params.get("request", "")
    if visit.missing not in (None, "password"):
        return to(visit.missing or "sign-in", authorization)
    return _choosing(request, visit, authorization)


@router.post("/password")
async def password_chosen(tenant: str, request: Request) -> Response:
    form = await received(request, tenant)
    visit, authorization, user, session = form.visit, form["request"], form.visit.user, form.visit.session
    if visit.missing not in (None, "password") or user is None or session is None:
        return to(visit.missing or "sign-in", authorization)
    note(request, user=user)
    errors = {}
    # A password that was given by somebody else has just been typed, a moment ago, by whoever has to choose another.
    if visit.missing is None and (said := await _not_proven(request, user, form["current"])):
        errors["current"] = said
    if form["password"] != form["repeated"]:
        errors["repeated"] = DIFFERENT
    if not errors:
        second = user.secret is not None or visit.tenant.setting("second_factor") == "required"
        wrong = await people(request).choose_password(user, form["password"], second_factor=second)
        errors = {"password": wrong} if wrong else {}
    if errors:
        return _choosing(request, visit, authorization, status=403, errors=errors)
    changed = await people(request).users.existing(tenant, user.username)
    response = to("continue", authorization)
    await renewed(request, response, visit, changed, session.methods, authorization)
    return response


async def _enrolling(
    request: Request, visit: Visit, authorization: str, *, status: int = 200, errors: dict[str, str] | None = None
) -> Response:
    """The secret stays with the session until the device has shown that it has it."""
    if not _may_enrol(visit) or visit.user is None or visit.session is None:
        return to(visit.missing or "account", authorization)
    users, kept = people(request).users, visit.session.notes.get("enrol")
    secret = totp.new_secret() if kept is None else await users.unsealed(visit.user, kept)
    if kept is None:
        await sessions(request).kept.note(visit.session, "enrol", await users.sealed(visit.user, secret))
    place = visit.tenant.title or visit.tenant.name
    picture = segno.make(totp.address(secret, place, visit.user.username), error="m", micro=False)
    svg = picture.svg_inline(scale=4, border=4, dark="#000", light="#fff", svgclass="picture", omitsize=True)
    return show(
        request,
        visit,
        "enrol",
        status=status,
        errors=errors or {},
        authorization=authorization,
        picture=safe(svg),
        secret=totp.written(secret),
    )


def _may_enrol(visit: Visit) -> bool:
    """Who has a device proves it first: another is set up after the operator has forgotten the old one."""
    return visit.user is not None and visit.user.secret is None and visit.missing in (None, "enrol")


async def _with_codes(
    request: Request, visit: Visit, user: User, session: Session, codes: list[str], authorization: str
) -> Response:
    """Shown once, as the answer to the form: they are kept nowhere."""
    changed = await people(request).users.existing(user.tenant, user.username)
    response = show(request, visit, "recovery_codes", codes=codes, authorization=authorization)
    await renewed(request, response, visit, changed, (*session.methods, CODE, SEVERAL), authorization)
    return response


def _choosing(
    request: Request, visit: Visit, authorization: str, *, status: int = 200, errors: dict[str, str] | None = None
) -> Response:
    second = visit.tenant.setting("second_factor") == "required" or (visit.user is not None and visit.user.secret)
    return show(
        request,
        visit,
        "password",
        status=status,
        errors=errors or {},
        authorization=authorization,
        least=WITH_SECOND if second else ALONE,
        renew=visit.missing == "password",
        username=visit.user.username if visit.user else "",
    )


async def _not_proven(request: Request, user: User, given: str) -> str | None:
    try:
        await people(request).again(user, given)
    except NotProven as problem:
        return later(problem.wait) if problem.wait else WRONG_PASSWORD
    return None
