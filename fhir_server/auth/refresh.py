"""Refresh tokens: the name of a grant and the turn it is at, which only this server can write.  RFC 6749 §10.4

Each is good for one turn. One of an earlier turn was copied, by whoever uses it or by whoever used it before: then the
whole grant ends. RFC 9700 §4.14.2
"""

from __future__ import annotations

import hmac

from fhir_server.crypto import base64url


def written(secret: bytes, tenant: str, grant_id: str, turn: int) -> str:
    return f"{grant_id}.{turn}.{derived(secret, 'refresh', tenant, grant_id, turn)}"


def read(secret: bytes, tenant: str, token: str) -> tuple[str, int] | None:
    """The grant and the turn, if this server wrote it for this tenant."""
    grant_id, _, rest = token.partition(".")
    turn = rest.partition(".")[0]
    if not (turn.isascii() and turn.isdigit() and len(turn) < 10):
        return None
    right = written(secret, tenant, grant_id, int(turn))
    same = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), right.encode("utf-8", "surrogateescape"))
    return (grant_id, int(turn)) if same else None


def derived(secret: bytes, purpose: str, tenant: str, grant_id: str, turn: int) -> str:
    """The same at every repetition, so that one is answered alike."""
    said = repr((purpose, tenant, grant_id, turn)).encode()
    return base64url.encoded(hmac.digest(secret, said, "sha256"))
