"""Words that stand for values in an index: equal for equal values of one parameter, and nothing without the key.

HMAC-SHA-256, of which 16 bytes are kept, under a key for each parameter.  RFC 2104, RFC 5869 §2.3
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64

from fhir_server.crypto.secret import Key

BYTES = 16
_SAFE = bytes.maketrans(b"+/", b"-_")


class BlindIndex:
    """Of one tenant; the same value gives another word in every other tenant and parameter."""

    __slots__ = ("_derived", "_key")

    def __init__(self, key: Key) -> None:
        self._key = key
        self._derived: dict[str, hmac.HMAC] = {}

    def word(self, parameter: str, text: str) -> str:
        """22 characters of the alphabet of RFC 4648 §5. A copy costs a sixth of a new one."""
        keyed = self._derived.get(parameter)
        if keyed is None:
            keyed = self._derived[parameter] = self._keyed(parameter)
        found = keyed.copy()
        found.update(text.encode())
        return b2a_base64(found.digest()[:BYTES], newline=False)[:22].translate(_SAFE).decode("ascii")

    def _keyed(self, parameter: str) -> hmac.HMAC:
        return hmac.new(self._key.mac(f"blind index of {parameter}\x01".encode()), digestmod="sha256")

    def __repr__(self) -> str:
        return f"BlindIndex({self._key!r})"
