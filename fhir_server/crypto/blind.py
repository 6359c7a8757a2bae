"""Words that stand for values in an index: equal for equal values of one parameter, and nothing without the key.

HMAC-SHA-256, of which 16 bytes are kept, under a key for each parameter.  RFC 2104, RFC 5869 §2.3
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode

from fhir_server.crypto.secret import Key

BYTES = 16


class BlindIndex:
    """Of one tenant; the same value gives another word in every other tenant and parameter."""

    __slots__ = ("_derived", "_key")

    def __init__(self, key: Key) -> None:
        self._key = key
        self._derived: dict[str, bytes] = {}

    def word(self, parameter: str, text: str) -> str:
        """22 characters of the alphabet of RFC 4648 §5."""
        key = self._derived.get(parameter)
        if key is None:
            key = self._derived[parameter] = self._key.mac(f"blind index of {parameter}\x01".encode())
        return urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")[:BYTES])[:22].decode()

    def __repr__(self) -> str:
        return f"BlindIndex({self._key!r})"
