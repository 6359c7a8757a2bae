"""How legacy systems seal columns: opening only, under the key that the operator gives.

Fernet tokens (https://github.com/fernet/spec), AES-256 in GCM and in CBC with the initialisation vector in front.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

Opener = Callable[[Any], bytes]
"""The clear text of a sealed value; `Unopened` where the key does not fit."""

KEY_BYTES = 32
NONCE_BYTES = 12
BLOCK_BYTES = 16


class Unopened(ValueError):
    """The value was not sealed with this key, or is not sealed at all."""


def fernet(key: str) -> Opener:
    """ValueError where the key is none."""
    opener = Fernet(key)

    def opened(value: Any) -> bytes:
        try:
            return opener.decrypt(value)
        except (InvalidToken, TypeError, ValueError) as fault:
            raise Unopened from fault

    return opened


def aes_gcm(key: str) -> Opener:
    """Base64 of nonce (12 bytes), cipher text and tag.  NIST SP 800-38D"""
    opener = AESGCM(_key(key))

    def opened(value: Any) -> bytes:
        raw = _raw(value)
        try:
            return opener.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as fault:
            raise Unopened from fault

    return opened


def aes_cbc(key: str) -> Opener:
    """Base64 of initialisation vector (16 bytes) and cipher text with PKCS #7 padding.  NIST SP 800-38A"""
    secret = algorithms.AES(_key(key))

    def opened(value: Any) -> bytes:
        raw = _raw(value)
        try:
            decryptor = Cipher(secret, modes.CBC(raw[:BLOCK_BYTES])).decryptor()
            padded = decryptor.update(raw[BLOCK_BYTES:]) + decryptor.finalize()
            unpadder = PKCS7(8 * BLOCK_BYTES).unpadder()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as fault:
            raise Unopened from fault

    return opened


SCHEMES: Mapping[str, Callable[[str], Opener]] = {"fernet": fernet, "aes-256-gcm": aes_gcm, "aes-256-cbc": aes_cbc}
"""By the name that `source.yaml` gives the scheme of a key class."""


def _key(written: str) -> bytes:
    """32 bytes in Base64, its URL-safe form, or hexadecimal digits."""
    try:
        if len(written) == 2 * KEY_BYTES:
            return bytes.fromhex(written)
        found = base64.urlsafe_b64decode(written.replace("+", "-").replace("/", "_"))
    except (binascii.Error, ValueError) as fault:
        raise ValueError("not a key") from fault
    if len(found) != KEY_BYTES:
        raise ValueError(f"{len(found)} bytes")
    return found


def _raw(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    try:
        return base64.b64decode(str(value), validate=True)
    except ValueError as fault:
        raise Unopened from fault
