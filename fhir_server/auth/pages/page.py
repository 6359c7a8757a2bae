"""A page as a response: rendered, never stored, never framed, and with nothing on it that could run.

https://www.w3.org/TR/CSP3/, RFC 9111 §5.2.2.5
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from fhir_server.auth.passwords import Busy
from fhir_server.auth.recorded import recorded
from fhir_server.auth.sessions import Sessions, Visit
from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import Store

POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
REMEMBERED = 180 * 86_400
"""Seconds that a browser remembers that somebody signed in there."""

NOWHERE = "There is nothing at this address. Check it, or start again from the application that sent you here."


class Problem(Exception):
    """What ends a visit: a page that says what happened and what to do."""

    def __init__(self, status: int, title: str, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.title = title
        self.said = said


class Elsewhere(Exception):
    """Another page comes first."""

    def __init__(self, response: Response) -> None:
        super().__init__("elsewhere")
        self.response = response


class PageRoute(APIRoute):
    """People get a page whatever happens, not a document for programs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await answer(request)
            except Elsewhere as found:
                return found.response
            except Problem as problem:
                return trouble(problem.status, problem.title, problem.said)
            except Busy:
                return trouble(503, "Please try again in a moment", "Too many people are signing in at this moment.")

        kept = recorded(shown)

        async def answered(request: Request) -> Response:
            try:
                return await kept(request)
            except FhirError as problem:
                if problem.status < 500:
                    raise
                return trouble(503, "Please try again in a moment", "The server cannot reach its data at this moment.")

        return answered


def store_of(request: Request) -> Store:
    found: Store = request.app.state.store
    return found


def sessions(request: Request) -> Sessions:
    found: Sessions = request.app.state.sessions
    return found


async def visit_of(request: Request, tenant: str) -> Visit:
    """Whoever asks; a tenant that does not exist and one that is suspended are answered alike."""
    found = await sessions(request).visit(request, tenant)
    if found is None:
        raise Problem(404, "Nothing is here", NOWHERE)
    return found


async def signed_in(request: Request, tenant: str, authorization: str = "") -> Visit:
    """Somebody who has done all that is asked; who has not is sent to where it is done."""
    visit = await visit_of(request, tenant)
    if visit.missing:
        raise Elsewhere(to(visit.missing, authorization))
    return visit


def to(page: str, authorization: str = "", **more: str) -> Response:
    """RFC 9110 §15.4.4: a 303 makes the browser forget what it has sent, which a 307 would send again."""
    query = {**({"request": authorization} if authorization else {}), **more}
    return RedirectResponse(f"{page}?{urlencode(query)}" if query else page, 303, {"Cache-Control": "no-store"})


def show(
    request: Request, visit: Visit, template: str, *, status: int = 200, leads_to: str | None = None, **context: Any
) -> Response:
    """A page with a form; `leads_to` is the address that the answer to the form may send the browser to."""
    found = {"token": visit.token, "place": visit.tenant.title or visit.tenant.name, "errors": {}, **context}
    response = _rendered(template, status, found, leads_to)
    if visit.fresh:
        set_cookie(request, response, visit.tenant.name, visit.cookie)
    return response


def trouble(status: int, title: str, said: str) -> Response:
    """Also for whoever refuses a request before anybody has signed in."""
    return _rendered("problem", status, {"title": title, "said": said, "place": "", "errors": {}}, None)


def set_cookie(request: Request, response: Response, tenant: str, value: str, *, kind: str = "session") -> None:
    """Lax: the browser sends it when an application sends the person here, and with no form of another site."""
    found = sessions(request)
    response.set_cookie(
        found.cookie_name(kind, tenant),
        value,
        max_age=REMEMBERED if kind == "device" else None,
        secure=found.secure,
        httponly=True,
        samesite="lax",
    )


def forget_cookie(request: Request, response: Response, tenant: str) -> None:
    found = sessions(request)
    name = found.cookie_name("session", tenant)
    response.delete_cookie(name, secure=found.secure, httponly=True, samesite="lax")


@cache
def stylesheet() -> tuple[str, bytes]:
    """Its name changes with its content, so that a browser may keep it."""
    content = (files("fhir_server.auth.pages") / "style.css").read_bytes()
    return f"style-{sha256(content).hexdigest()[:12]}.css", content


def _rendered(template: str, status: int, context: Mapping[str, Any], leads_to: str | None) -> Response:
    html = _templates().get_template(f"{template}.html").render(stylesheet=stylesheet()[0], **context)
    return HTMLResponse(html, status, {"Content-Security-Policy": _policy(leads_to), "Cache-Control": "no-store"})


def _policy(leads_to: str | None) -> str:
    """Browsers apply `form-action` to where a form leads in the end, so the application has to be in it.

    https://github.com/w3c/webappsec-csp/issues/8
    """
    if leads_to is None:
        return POLICY
    parts = urlsplit(leads_to)
    web = parts.scheme in ("http", "https")
    return f"{POLICY} {parts.scheme}://{parts.netloc}" if web else f"{POLICY} {parts.scheme}:"


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("fhir_server.auth.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def safe(svg: str) -> Markup:
    """Markup that we have made ourselves."""
    return Markup(svg)  # noqa: S704 - of segno, from a text of which nothing is copied into it
