"""Base64 for URLs and tokens, without padding.  RFC 4648 §5, RFC 7515 §2"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode


def encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Raises ValueError for all but the one right form: nothing is skipped, and no two texts mean the same."""
    raw = b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if encoded(raw) != text:
        raise ValueError("not base64url in its one right form")
    return raw
