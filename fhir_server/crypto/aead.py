"""Authenticated encryption of short values with AES-256-GCM.  NIST SP 800-38D"""

from __future__ import annotations

import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class SealBroken(ValueError):
    """The sealed bytes were changed, cut, made with another key, or bound to something else."""


def seal(key: bytes, plaintext: bytes, bound_to: bytes) -> bytes:
    """Nonce and ciphertext; `bound_to` is authenticated but not contained, and must be given again to unseal.

    The nonce is random: safe for 2^32 values under one key (SP 800-38D §8.3).
    """
    nonce = os.urandom(NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, plaintext, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The plaintext, or `SealBroken`."""
    cipher = _cipher(key)
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise SealBroken("The sealed value is too short to be one.")
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except InvalidTag as broken:
        raise SealBroken("The sealed value does not open with this key and binding.") from broken


@lru_cache(maxsize=256)
def _cipher(key: bytes) -> AESGCM:
    """Kept, because expanding a key takes longer than sealing a short value."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"An AES-256 key has {KEY_BYTES} bytes, not {len(key)}.")
    return AESGCM(key)
