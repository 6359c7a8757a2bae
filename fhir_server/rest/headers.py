"""Request headers: bounded, one value each where more than one could be read two ways.  RFC 9110 §5"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from fhir_server.fhir.outcome import bad_value, error, invalid
from fhir_server.rest.asgi import RawHeaders

Headers = dict[bytes, bytes]

_KEY = re.compile(rb"[\x21-\x7e]{1,255}\Z")

MAX_HEADERS = 100
MAX_BYTES = 32_768

SINGLE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"if-match",
        b"if-modified-since",
        b"if-none-exist",
        b"if-none-match",
        b"transfer-encoding",
        b"x-idempotency-key",
        b"x-request-id",
    }
)


def checked(raw: RawHeaders, headers: Headers) -> Headers:
    """The headers as they count: `headers` is what a plain dict makes of them."""
    if len(raw) > MAX_HEADERS:
        raise error("too-long", f"There are {len(raw)} headers; at most {MAX_HEADERS} are read.", status=431)
    if sum(map(len, headers.values())) > MAX_BYTES:
        raise error("too-long", f"The headers are longer than {MAX_BYTES} bytes.", status=431)
    return headers if len(headers) == len(raw) else _joined(raw)


def _joined(raw: RawHeaders) -> Headers:
    """Repeated list headers are one list; a repeated header of one value is refused. RFC 9110 §5.3"""
    headers: Headers = {}
    for name, value in raw:
        if name in headers and name in SINGLE:
            raise invalid(f"The header '{name.decode('latin-1')}' is there twice.")
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1").strip()


def idempotency_key(headers: Headers) -> str | None:
    """1 to 255 visible characters of ASCII."""
    value = headers.get(b"x-idempotency-key")
    if value is None:
        return None
    if not _KEY.match(value):
        raise bad_value("The X-Idempotency-Key must have 1 to 255 visible ASCII characters, such as a UUID.")
    return value.decode("ascii")


@lru_cache(maxsize=256)
def preferences(value: bytes) -> frozenset[str]:
    """The preferences of `Prefer: return=minimal, handling=lenient`, lower-case. RFC 7240 §2"""
    parts = value.decode("latin-1").replace(";", ",").split(",")
    return frozenset(part.strip().lower().replace('"', "") for part in parts if part.strip())


def moment(value: bytes) -> datetime | None:
    """An HTTP date; one that cannot be read is as if it were not there. RFC 9110 §13.1.3"""
    try:
        found = parsedate_to_datetime(value.decode("latin-1"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
