"""Ids that are a function of the source key, so that a reference needs no look-up.  RFC 9562 §5.5 (UUIDv5)"""

from __future__ import annotations

import uuid
from decimal import Decimal
from hashlib import sha1
from typing import Any

from fhir_server.mapping.text import normalised

CACHED = 4096
CACHED_TARGETS = 256
KEY = "*"
"""Where the key of a row belongs in the name of a target."""
new_sha1 = sha1(usedforsecurity=False).copy
"""A copy of an empty hash costs less than a new one."""
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


class Target(dict[Any, str]):
    """Relative URLs of one output of the rows of a table, by their keys: the last that were asked for are kept.

    https://hl7.org/fhir/R4/references.html#literal
    """

    def __init__(self, namespace: bytes, wanted: str):
        resource_type, _, name = wanted.partition(" ")
        before, _, after = name.partition(KEY)
        self.start, self.before, self.after = f"{resource_type}/", namespace + before.encode(), after.encode()

    def __missing__(self, key: int | str) -> str:
        if len(self) >= CACHED:
            self.clear()
        found = self[key] = self.start + uuid5(self.before + str(key).encode() + self.after)
        return found


class References(dict[str, Target]):
    """The targets of references from the rows of one tenant, by `{Type} {name}` with `*` in place of the key."""

    def __init__(self, namespace: bytes):
        self.namespace = namespace

    def __missing__(self, wanted: str) -> Target:
        if len(self) >= CACHED_TARGETS:
            self.clear()
        found = self[wanted] = Target(self.namespace, wanted)
        return found


def uuid5(name: bytes) -> str:
    """The id of a name behind its namespace; the same as `uuid.uuid5`, at a third of its cost."""
    hashing = new_sha1()
    hashing.update(name)
    hexed = hashing.digest()[BYTES].hex("-", 6)
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
