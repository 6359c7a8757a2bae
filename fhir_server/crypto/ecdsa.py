"""Signatures with the keys of tenants: ES384, as two numbers of 48 octets.  RFC 7518 §3.4"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fhir_server.crypto import base64url

OCTETS = 48
_WAY = ec.ECDSA(hashes.SHA384())


def signature(pem: str, statement: bytes) -> bytes:
    r, s = decode_dss_signature(_private(pem).sign(statement, _WAY))
    return r.to_bytes(OCTETS, "big") + s.to_bytes(OCTETS, "big")


def is_good(public: Mapping[str, Any], statement: bytes, signed: bytes) -> bool:
    """By a public key as a JSON Web Key."""
    r, s = int.from_bytes(signed[:OCTETS], "big"), int.from_bytes(signed[OCTETS:], "big")
    try:
        _public(public["x"], public["y"]).verify(encode_dss_signature(r, s), statement, _WAY)
    except InvalidSignature:
        return False
    return len(signed) == 2 * OCTETS


@lru_cache(maxsize=64)
def _private(pem: str) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("The key is none of an elliptic curve.")
    return key


@lru_cache(maxsize=64)
def _public(x: str, y: str) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicNumbers(_number(x), _number(y), ec.SECP384R1()).public_key()


def _number(text: str) -> int:
    return int.from_bytes(base64url.decoded(text), "big")
