"""Authenticated encryption of what is too long to be sealed at once: chunks that open in their order, and only all.

The nonce of a chunk is its number and whether it is the last (STREAM, https://eprint.iacr.org/2015/189): a chunk that
was changed, dropped, repeated or moved does not open, nor does the last one of what was cut short. A key is for one
stream only: numbers are not repeated under it.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.crypto.aead import SealBroken

_NONCE = struct.Struct(">3xQ?")
"""12 bytes: NIST SP 800-38D §8.2.1, a deterministic construction."""


class Stream:
    """The chunks of one stream, sealed or opened one after the other; `bound_to` is authenticated with each."""

    def __init__(self, key: bytes, bound_to: bytes) -> None:
        self._cipher = AESGCM(key)
        self._bound_to = bound_to
        self.number = 0

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last), chunk, self._bound_to)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(last), sealed, self._bound_to)
        except InvalidTag as problem:
            raise SealBroken(f"Chunk {self.number} does not open.") from problem

    def _nonce(self, last: bool) -> bytes:
        self.number += 1
        return _NONCE.pack(self.number, last)
