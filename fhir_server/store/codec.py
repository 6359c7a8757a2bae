"""Python values in BSON: exact decimals, and UTC with milliseconds for time.  https://bsonspec.org/spec.html"""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal, DecimalException
from typing import Any

import bson
from bson.codec_options import CodecOptions, TypeCodec, TypeRegistry
from bson.decimal128 import Decimal128, create_decimal128_context
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from fhir_server.fhir.resource import Resource

DEEPEST = 100
"""Levels of nesting that every MongoDB accepts. https://www.mongodb.com/docs/manual/reference/limits/"""


_ROUNDING = create_decimal128_context()


class _Exact(TypeCodec):
    """Decimal <-> Decimal128; more than 34 digits are refused."""

    python_type = Decimal
    bson_type = Decimal128

    def transform_python(self, value: Decimal) -> Decimal128:
        return Decimal128(value)

    def transform_bson(self, value: Decimal128) -> Decimal:
        return value.to_decimal()


class _Rounded(_Exact):
    """As an index value may be: it is compared, never shown."""

    def transform_python(self, value: Decimal) -> Decimal128:
        return Decimal128(_ROUNDING.create_decimal(value))


OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, tzinfo=UTC, type_registry=TypeRegistry([_Rounded()])
)
"""For what the store reads and writes: decimals are `Decimal`, times are aware and UTC."""

PLAIN: CodecOptions[dict[str, Any]] = CodecOptions()
"""For reading what is only passed on: a codec of ours costs 30 µs a query, an aware time 1 µs; these are naive UTC."""

_NATIVE: CodecOptions[dict[str, Any]] = CodecOptions(type_registry=TypeRegistry([_Exact()]))

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)


def native(resource: Resource, body: bytes) -> RawBSONDocument | None:
    """The resource as BSON for whoever queries MongoDB itself; None where BSON cannot say it exactly.

    A number may be too long or the nesting too deep for BSON though it is good FHIR: `body` stays the truth.
    """
    if _deeper_than(body, DEEPEST - 1):
        return None
    try:
        return RawBSONDocument(bson.encode(resource, codec_options=_NATIVE), RAW)
    except (BSONError, DecimalException, OverflowError, RecursionError):
        return None


def _deeper_than(body: bytes, levels: int) -> bool:
    """Counted only where there are brackets enough; a bracket inside a string errs on the safe side."""
    if body.count(b"{") + body.count(b"[") <= levels:
        return False
    depth = 0
    for char in body:
        depth += _STEP.get(char, 0)
        if depth > levels:
            return True
    return False


_STEP = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
