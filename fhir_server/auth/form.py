"""Bodies of requests to the authorization server: small, and each parameter once.  RFC 6749 §3.2, Appendix B"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from fhir_server.auth.refusal import OAuthError

LONGEST_BYTES = 65_536
FORM = "application/x-www-form-urlencoded"


async def pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters of a form, as often as they are there."""
    if _media_type(request) != FORM:
        raise OAuthError("invalid_request", f"The body must be a form: Content-Type: {FORM}.")
    return parsed(await _body(request))


async def parameters(request: Request) -> dict[str, str]:
    found = await pairs(request)
    given = dict(found)
    if len(given) != len(found):
        raise OAuthError("invalid_request", "A parameter is there more than once.")
    return given


async def json_object(request: Request) -> dict[str, Any]:
    if _media_type(request) != "application/json":
        raise OAuthError("invalid_request", "The body must be JSON: Content-Type: application/json.")
    try:
        found = json.loads(await _body(request))
        # Half a surrogate pair can be written in JSON, and is no text.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as problem:
        raise OAuthError("invalid_request", "The body is not JSON.") from problem
    if not isinstance(found, dict):
        raise OAuthError("invalid_request", "The body is not a JSON object.")
    return found


def parsed(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as problem:
        raise OAuthError("invalid_request", "The parameters are not percent-encoded UTF-8.") from problem


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_BYTES:
            raise OAuthError("invalid_request", f"The body is longer than {LONGEST_BYTES} bytes.", 413)
    return body
