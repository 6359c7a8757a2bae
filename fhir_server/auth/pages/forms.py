"""What a form sends: small, from our own page, in the browser that the page was made for.

https://url.spec.whatwg.org/#application/x-www-form-urlencoded,
https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from urllib.parse import parse_qsl

from starlette.requests import Request

from fhir_server.auth.pages.page import Problem, visit_of
from fhir_server.auth.sessions import Visit

LONGEST = 65_536
MOST_FIELDS = 500

STALE = (
    "This page was open for too long, or was not ours. Nothing has been done. "
    "Go back, load the page again and repeat what you did."
)


@dataclass(frozen=True, slots=True)
class Form:
    visit: Visit
    fields: Mapping[str, list[str]]

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        return self.fields.get(name, [])


async def received(request: Request, tenant: str) -> Form:
    """Nothing has been done before this is certain."""
    visit = await visit_of(request, tenant)
    fields = await _fields(request)
    token = fields.get("token", [""])[-1]
    if _from_elsewhere(request) or visit.fresh or not compare_digest(token.encode(), visit.token.encode()):
        raise Problem(403, "Please try again", STALE)
    return Form(visit, fields)


def _from_elsewhere(request: Request) -> bool:
    """https://www.w3.org/TR/fetch-metadata/: sent by the browser, which a page of another site cannot change."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


async def _fields(request: Request) -> dict[str, list[str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "Not a form", "A form of these pages is sent as application/x-www-form-urlencoded.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise Problem(413, "Too much", f"A form of these pages has at most {LONGEST} bytes.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except ValueError as problem:
        raise Problem(400, "Not a form", "What was sent cannot be read.") from problem
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields
