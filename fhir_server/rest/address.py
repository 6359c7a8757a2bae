"""Where a request goes: the tenant and the path below its FHIR base, or a refusal of anything that is spelt oddly.

Only plain characters are let through, so that no two spellings of one path can reach two different rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fhir_server.fhir.outcome import FhirError, bad_value, error
from fhir_server.rest.asgi import Scope

MAX_URL_BYTES = 8192

_PATH = re.compile(
    rb"/fhir/(?P<tenant>[A-Za-z0-9][A-Za-z0-9_-]{0,63})"
    rb"(?P<path>(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9\-._$]+)*(?:/\*)?)/?\Z"
)
"""No empty segments, no `.` or `..`, no `;` and nothing percent-encoded: what a FHIR path never needs. `*` is all of a
compartment."""


@dataclass(frozen=True, slots=True)
class Address:
    tenant: str
    path: str
    query: str


def located(scope: Scope) -> Address:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    if len(raw) + len(query) > MAX_URL_BYTES:
        raise error(
            "too-long", f"The URL is longer than {MAX_URL_BYTES} bytes; a long search fits in POST _search.", status=414
        )
    match = _PATH.match(raw.replace(b"%24", b"$").replace(b"%2A", b"*"))
    if match is None:
        raise _odd(raw)
    return Address(match["tenant"].decode(), match["path"][1:].decode(), _text(query))


def _text(query: bytes) -> str:
    try:
        text = query.decode("ascii")
    except UnicodeDecodeError as problem:
        raise bad_value("The query of the URL has characters that must be percent-encoded as UTF-8.") from problem
    if "%00" in text:
        raise bad_value("The query of the URL has a NUL character, which no FHIR value may hold.")
    return text


def _odd(raw: bytes) -> FhirError:
    if raw.rstrip(b"/") == b"/fhir":
        return error("not-found", "A FHIR base names its tenant: /fhir/{tenant}.")
    return bad_value(
        "The path of the URL is not one of FHIR: after /fhir/{tenant} come plain segments of letters, digits and "
        "'-._$', none of them empty, '.' or '..'."
    )
