"""Ids that are a function of the source key, so that a reference needs no look-up.  RFC 9562 §5.5 (UUIDv5)"""

from __future__ import annotations

import uuid
from decimal import Decimal
from functools import lru_cache
from hashlib import sha1

from fhir_server.mapping.text import normalised

CACHED = 200_000


class Identity:
    """The ids of one tenant: UUIDv5 of `{source}/{table}/{key}/{Type}[#label]` in the tenant's namespace."""

    def __init__(self, base: str, tenant: str):
        self.namespace = uuid.uuid5(uuid.NAMESPACE_URL, f"{base}/tenant/{tenant}").bytes
        self.reference = lru_cache(maxsize=CACHED)(self._reference)

    def of(self, name: str) -> str:
        """The id of a name; the same as `uuid.uuid5`, at a third of its cost."""
        digest = bytearray(sha1(self.namespace + name.encode(), usedforsecurity=False).digest()[:16])
        digest[6] = digest[6] & 0x0F | 0x50
        digest[8] = digest[8] & 0x3F | 0x80
        hexed = digest.hex()
        return f"{hexed[:8]}-{hexed[8:12]}-{hexed[12:16]}-{hexed[16:20]}-{hexed[20:]}"

    def _reference(self, resource_type: str, name: str) -> dict[str, str]:
        return {"reference": f"{resource_type}/{self.of(name)}"}


def natural(value: str) -> str:
    """The key of an output that belongs to a value rather than to a row."""
    return f"~{normalised(key_text(value))}"


def key_text(value: object) -> str:
    """A key as it stands in a name: databases that know no integers give `7.0` for 7."""
    if isinstance(value, (float, Decimal)) and value % 1 == 0:
        return str(int(value))
    return str(value)


def merged_key(value: object) -> str:
    """The key of what several rows become together: exact, since two claim numbers must never meet."""
    return f"~{key_text(value).strip()}"
