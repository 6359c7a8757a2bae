"""The application behind a visit: what it asks for, and the page on which its request goes on.

https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest, §3.1.2.1: prompt and max_age
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_server.auth import provider
from fhir_server.auth.authorization import Authorizations, Pending
from fhir_server.auth.pages.page import Elsewhere, Problem, sessions, set_cookie, to
from fhir_server.auth.people import People
from fhir_server.auth.refusal import Refused
from fhir_server.auth.sessions import Visit
from fhir_server.auth.upstream import Vouching
from fhir_server.store.users import User, moment

OVER = "What the application asked has been answered already, or has waited too long. Start again from the application."


def people(request: Request) -> People:
    found: People = request.app.state.people
    return found


def vouching(request: Request) -> Vouching:
    found: Vouching = request.app.state.vouching
    return found


def authorizations(request: Request) -> Authorizations:
    return provider.of(request).authorizations


async def asked(request: Request, tenant: str, authorization: str) -> Pending | None:
    """What the application asks for; None where the person is here without one."""
    if not authorization:
        return None
    pending = await authorizations(request).pending(tenant, authorization)
    if pending is None:
        raise Problem(400, "Please start again", OVER)
    return pending


async def asking(request: Request, visit: Visit, authorization: str) -> Pending:
    """What the application asks of somebody who may answer; whoever has to do something before is sent there."""
    pending = await asked(request, visit.tenant.name, authorization)
    if pending is None:
        raise Elsewhere(to("account"))
    if visit.missing or not is_recent(visit, pending):
        raise Elsewhere(to(visit.missing or "sign-in", pending.id))
    return pending


def is_recent(visit: Visit, pending: Pending) -> bool:
    """Whether the person signed in as lately as the application wants it, or just for it."""
    session = visit.session
    if session is None:
        return False
    if session.request == pending.id:
        return True
    if {"login", "select_account"} & set((pending.prompt or "").split()):
        return False
    return pending.max_age is None or (moment() - session.authenticated).total_seconds() <= pending.max_age


def chosen(visit: Visit, pending: Pending) -> Mapping[str, str]:
    """Patient and encounter that the person has chosen for this request."""
    choice = visit.session.notes.get("choice", {}) if visit.session else {}
    found: Mapping[str, str] = choice if choice.get("request") == pending.id else {}
    return found


async def choose(request: Request, visit: Visit, pending: Pending, **more: str) -> Response:
    if visit.session is not None:
        choice = {**chosen(visit, pending), "request": pending.id, **more}
        await sessions(request).kept.note(visit.session, "choice", choice)
    return to("continue", pending.id)


async def answer(request: Request, pending: Pending, error: str) -> Response:
    """Tells the application that it gets nothing."""
    return RedirectResponse(await authorizations(request).deny(pending, error), 303, {"Cache-Control": "no-store"})


async def advanced(
    request: Request,
    visit: Visit,
    user: User,
    methods: tuple[str, ...],
    authorization: str,
    since: datetime | None = None,
) -> Response:
    """Somebody has proven more than before: a new session, and on to what comes next."""
    response = to("continue", authorization)
    await renewed(request, response, visit, user, methods, authorization, since)
    return response


async def renewed(
    request: Request,
    response: Response,
    visit: Visit,
    user: User,
    methods: tuple[str, ...],
    authorization: str,
    since: datetime | None = None,
) -> None:
    """A session that was only halfway is over, and so is that of somebody else; others end at signing out."""
    found = sessions(request)
    if visit.session is not None and (visit.missing or visit.session.user_id != user.user_id):
        await people(request).leave(visit.session)
    cookie = await found.begin(visit.tenant, user, methods, authorization or None, since)
    set_cookie(request, response, visit.tenant.name, cookie)


def refusal(problem: Refused) -> Response:
    """RFC 6749 §4.1.2.1: back to the application where it is certain which that is, else a page for the person."""
    if problem.location is None:
        raise Problem(400, "This cannot be done", problem.description)
    return RedirectResponse(problem.location, 303, {"Cache-Control": "no-store"})
