"""Hashes that the source keeps against tampering: of a row, of what was signed, of the row before.  FIPS 180-4"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from fhir_server.mapping.convert_number import is_true
from fhir_server.mapping.convert_time import MOMENT_TEXT
from fhir_server.mapping.converter import ANY, TEST, TEXT, Converter
from fhir_server.mapping.identity import key_text


def digest_of(value: Any, others: tuple[Any, ...]) -> bool | None:
    """A test: the value is the SHA-256 of the other columns, joined by a bar; so is none, where nothing was hashed."""
    if value is None:
        return True
    content = "|".join(map(_written, others))
    return True if hashlib.sha256(content.encode()).hexdigest() == str(value).lower() else None


def _written(value: Any) -> str:
    """The same text whatever database the value was read from: moments in UTC, JSON by order of name."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_number)
    moment = _moment(value)
    if moment:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else key_text(value)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str) and MOMENT_TEXT.match(value):
        try:
            value = datetime.fromisoformat(value.replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
        except ValueError:
            return None
    if not isinstance(value, datetime) or value.year < 2:
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def continues(value: Any, found: Any) -> bool | None:
    """A test: the hash that the row continues is that of a row which is there; the first row continues none."""
    return True if value is None or found is not None else None


def signs(value: Any, content: Any, amended: Any) -> bool | None:
    """A test: the hash that was signed is that of the content, unless the content was amended since."""
    if value is None or content is None or is_true(amended):
        return True
    return True if str(value).lower() == str(content).lower() else None


CONVERTERS = {
    "digest_of": Converter(digest_of, TEXT, TEST, ("column+",), none=True),
    "continues": Converter(continues, ANY, TEST, ("column",), none=True),
    "signs": Converter(signs, TEXT, TEST, ("column", "column"), none=True),
}
