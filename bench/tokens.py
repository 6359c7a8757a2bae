"""CPU of the check of an access token: the first time its signature, then what was remembered.  RFC 9068"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from joserfc.jwk import ECKey

from bench.report import Figure
from fhir_server.auth.jwt import SigningKey
from fhir_server.auth.tokens import AccessTokens, issue

BASE, TENANT = "http://127.0.0.1", "bench"
SHARE = 0.1
"""Of the time of a read, at most."""


class Ring:
    """The keys of one tenant."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-384", {"kid": "k", "alg": "ES384"})

    async def verifying(self, _tenant: str) -> Mapping[str, SigningKey]:
        return {"k": self.key}


def figures(reads: float) -> list[Figure]:
    """`reads` is how many a second the server answers, in the same run."""
    first, again = asyncio.run(_measured())
    return [
        Figure("token seen the first time", first, "µs"),
        Figure("token check in a read", again, "µs", 1e6 / reads, SHARE, at_most=True),
    ]


async def _measured(rounds: int = 20_000) -> tuple[float, float]:
    """Microseconds on one core for a token of the kind that people have, with scopes of several types."""
    ring = Ring()
    scope = " ".join(f"patient/{name}.rs" for name in ("Patient", "Observation", "Condition", "Encounter", "Goal"))
    made = [
        issue(ring.key, base_url=BASE, tenant=TENANT, subject=f"s{number}", client_id="app", scope=scope, patient="p")
        for number in range(rounds // 100)
    ]
    tokens = AccessTokens(ring, BASE)  # type: ignore[arg-type]
    first = await _cost(tokens, made)
    return first, await _cost(tokens, made * 100)


async def _cost(tokens: AccessTokens, shown: list[str]) -> float:
    started = time.process_time()
    for each in shown:
        await tokens.caller(each)
    return (time.process_time() - started) / len(shown) * 1e6
