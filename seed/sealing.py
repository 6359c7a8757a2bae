"""Sealed values that come out the same each time: sample data is a function of its seed.  https://github.com/fernet/spec"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

SAMPLE_KEY = base64.urlsafe_b64encode(hashlib.sha256(b"the key of sample data, known to everyone").digest()).decode()
"""Seals the encrypted columns of sample databases. Nothing real may be sealed with it."""
MADE = (1_700_000_000).to_bytes(8, "big")


def sealed(value: str, key: str = SAMPLE_KEY) -> str:
    """A Fernet token whose initialisation vector is a function of the value."""
    raw = base64.urlsafe_b64decode(key)
    signing, encrypting = raw[:16], raw[16:]
    token = b"\x80" + MADE + _cbc(value, encrypting, signing)
    return base64.urlsafe_b64encode(token + hmac.digest(signing, token, "sha256")).decode()


def sealed_cbc(value: str, key: str = SAMPLE_KEY) -> str:
    """AES-256-CBC: Base64 of initialisation vector and cipher text."""
    raw = base64.urlsafe_b64decode(key)
    return base64.b64encode(_cbc(value, raw, raw)).decode()


def sealed_gcm(value: str, key: str = SAMPLE_KEY) -> str:
    """AES-256-GCM: Base64 of nonce, cipher text and tag."""
    raw = base64.urlsafe_b64decode(key)
    nonce = hashlib.sha256(raw + value.encode()).digest()[:12]
    return base64.b64encode(nonce + AESGCM(raw).encrypt(nonce, value.encode(), None)).decode()


def _cbc(value: str, encrypting: bytes, salt: bytes) -> bytes:
    iv = hashlib.sha256(salt + value.encode()).digest()[:16]
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(encrypting), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(padder.update(value.encode()) + padder.finalize()) + encryptor.finalize()
