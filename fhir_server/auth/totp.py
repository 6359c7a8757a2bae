"""Codes of the second factor, which change every half minute, and the recovery codes for when there is no device.

RFC 4226, RFC 6238, https://pages.nist.gov/800-63-4/sp800-63b.html#lookupsecrets
"""

from __future__ import annotations

import hmac
import secrets
import struct
from base64 import b32encode
from hashlib import sha256
from urllib.parse import quote, urlencode

STEP = 30
DIGITS = 6
DRIFT = 1
"""Steps that a device's clock may be off. RFC 6238 §5.2 recommends one."""

RECOVERY_CODES = 10
_RECOVERY_BYTES = 10


def new_secret() -> bytes:
    """RFC 4226 §4, R6: 160 bits."""
    return secrets.token_bytes(20)


def code(secret: bytes, step: int) -> str:
    """RFC 4226 §5.3"""
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(secret: bytes, given: str, now: float) -> int | None:
    """The time step that a code belongs to, if it is one of those that count now."""
    current = int(now) // STEP
    steps = range(current - DRIFT, current + DRIFT + 1)
    fitting = [step for step in steps if hmac.compare_digest(code(secret, step).encode(), given.encode())]
    return fitting[-1] if fitting else None


def written(secret: bytes) -> str:
    """As it is typed into a device that cannot read the picture: groups of four."""
    text = b32encode(secret).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def address(secret: bytes, issuer: str, username: str) -> str:
    """What the picture says. https://github.com/google/google-authenticator/wiki/Key-Uri-Format"""
    label = f"{quote(issuer, safe='')}:{quote(username, safe='')}"
    given = {"secret": b32encode(secret).decode().rstrip("="), "issuer": issuer, "digits": DIGITS, "period": STEP}
    return f"otpauth://totp/{label}?{urlencode(given, quote_via=quote)}"


def recovery_codes() -> list[str]:
    """80 random bits each, in groups of four characters."""
    texts = (b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES))
    return ["-".join(text[start : start + 4] for start in range(0, len(text), 4)) for text in texts]


def digest(recovery_code: str) -> str:
    """Only this is kept. It is random: nobody can make a dictionary of it."""
    return sha256("".join(filter(str.isalnum, recovery_code)).lower().encode()).hexdigest()


def is_recovery_code(given: str) -> bool:
    return len("".join(filter(str.isalnum, given))) == _RECOVERY_BYTES * 8 // 5
