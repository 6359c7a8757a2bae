"""Keys that do not show themselves: neither printed, nor copied into a traceback, a log or another process."""

from __future__ import annotations

import hmac
import secrets
from typing import NoReturn

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32


class Key:
    """Secret bytes under a name; `uses` counts what this process has sealed with it since it was last noted."""

    __slots__ = ("_cipher", "_raw", "id", "uses")

    def __init__(self, key_id: str, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise ValueError(f"A key has {KEY_BYTES} bytes, not {len(raw)}.")
        self.id = key_id
        self.uses = 0
        self._raw = raw
        self._cipher = AESGCM(raw)

    @classmethod
    def fresh(cls, key_id: str) -> Key:
        return cls(key_id, secrets.token_bytes(KEY_BYTES))

    @property
    def cipher(self) -> AESGCM:
        """Kept, because expanding a key takes longer than sealing a short value."""
        return self._cipher

    def mac(self, message: bytes) -> bytes:
        """HMAC-SHA-256.  RFC 2104"""
        return hmac.digest(self._raw, message, "sha256")

    def revealed(self) -> bytes:
        """The bytes themselves, to be wrapped by another key and nothing else."""
        return self._raw

    def __repr__(self) -> str:
        return f"Key({self.id!r})"

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("A key is not copied or pickled.")
