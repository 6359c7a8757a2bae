"""Ids that are a function of the source key, so that a reference needs no look-up.  RFC 9562 §5.5 (UUIDv5)"""

from __future__ import annotations

import uuid
from decimal import Decimal
from hashlib import sha1

from fhir_server.mapping.text import normalised

CACHED = 4096
VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""RFC 9562 §4.1"""
BYTES = slice(16)
TIME, VERSIONED, CLOCK = slice(13), slice(14, 17), slice(18, None)
"""Where the parts of an id stand among its digits `8-12-12`; slices that are made once."""


class Identity:
    """The ids of one tenant: UUIDv5 of `{source}/{table}/{key}/{Type}[#label]` in the tenant's namespace."""

    def __init__(self, base: str, tenant: str):
        self.namespace = uuid.uuid5(uuid.NAMESPACE_URL, f"{base}/tenant/{tenant}").bytes
        self.references = References(self.namespace)

    def of(self, name: str) -> str:
        return uuid5(self.namespace + name.encode())


class References(dict[str, dict[str, str]]):
    """References to what the rows of one tenant become, by `{Type} {name}`: the last that were asked for are kept.

    https://hl7.org/fhir/R4/references.html#literal
    """

    def __init__(self, namespace: bytes):
        self.namespace = namespace

    def __missing__(self, wanted: str) -> dict[str, str]:
        if len(self) >= CACHED:
            self.clear()
        resource_type, _, name = wanted.partition(" ")
        found = {"reference": f"{resource_type}/{uuid5(self.namespace + name.encode())}"}
        self[wanted] = found
        return found


def uuid5(name: bytes) -> str:
    """The id of a name behind its namespace; the same as `uuid.uuid5`, at a third of its cost."""
    hexed = sha1(name, usedforsecurity=False).digest()[BYTES].hex("-", 6)
    return f"{hexed[TIME]}-5{hexed[VERSIONED]}-{VARIANT[hexed[17]]}{hexed[CLOCK]}"


def natural(value: str) -> str:
    """The key of an output that belongs to a value rather than to a row."""
    return f"~{normalised(key_text(value))}"


def key_text(value: object) -> str:
    """A key as it stands in a name: databases that know no integers give `7.0` for 7."""
    if value.__class__ is str or value.__class__ is int:
        return str(value)
    if isinstance(value, (float, Decimal)) and value % 1 == 0:
        return str(int(value))
    return str(value)


def merged_key(value: object) -> str:
    """The key of what several rows become together: exact, since two claim numbers must never meet."""
    return f"~{key_text(value).strip()}"
