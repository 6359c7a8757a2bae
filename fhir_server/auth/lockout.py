"""How long somebody who fails to prove who they are has to wait: ever longer, and never for good.

Counts belong to an account as strangers see it, to a browser that its owner has used before, to the second factor of a
user, and to an address. Strangers can therefore not lock out an owner, and one address cannot try many accounts.
https://pages.nist.gov/800-63-4/sp800-63b.html#throttle: at most 100 consecutive failures on one account
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

from fhir_server.store.attempts import Pauses
from fhir_server.store.users import login

_SECONDS = timedelta(seconds=1)
_MINUTES = timedelta(minutes=1)
_MONTH = timedelta(days=30)

_SOON = tuple((5 + more, 5 * 2**more * _SECONDS) for more in range(5))
_LONG = ((10, 15 * _MINUTES), (20, 60 * _MINUTES), (100, _MONTH))

PASSWORD = Pauses(after=(*_SOON, *_LONG), kept=_MONTH)
SECOND_FACTOR = Pauses(after=((5, 15 * _MINUTES), (10, 60 * _MINUTES), (100, _MONTH)), kept=_MONTH)
"""A million codes, three of them good at a time: after five that are not there is a long pause at once."""
ADDRESS = Pauses(after=((30, 30 * _SECONDS), (60, 5 * _MINUTES), (120, 15 * _MINUTES)), kept=15 * _MINUTES)
"""A practice behind one address makes some mistakes; somebody who tries a list of accounts makes more."""


def account(username: str) -> str:
    """By a digest: what is typed here is sometimes a password."""
    return f"account:{sha256(login(username).encode()).hexdigest()}"


def device(digest: str, username: str) -> str:
    return f"device:{digest}:{account(username)}"


def second_factor(user_id: str) -> str:
    return f"second:{user_id}"


def address(host: str) -> str:
    """Whoever has an IPv6 address has the 2^64 beside it too."""
    try:
        found = ip_address(host)
    except ValueError:
        return "address:unknown"
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return f"address:{IPv6Address(int(found) >> 64 << 64)}"
    return f"address:{getattr(found, 'ipv4_mapped', None) or found}"
