"""A write that may be sent again: the header X-Idempotency-Key.

The answer is kept in the transaction that writes, so that there is never one without the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import error
from fhir_server.interactions.context import Context
from fhir_server.store.repository import Repository

REPEATABLE: Final = frozenset({"create", "update", "patch", "delete", "transaction"})
"""Interactions that write; the entries of a batch are repeatable one by one."""


async def once(ctx: Context, entry: EntryRequest, run: Callable[[Context], Awaitable[EntryResponse]]) -> EntryResponse:
    """What `run` answers, or what it answered the first time; a refusal wrote nothing and is not kept."""
    key, digest = entry.idempotency_key or "", _digest(ctx, entry)

    async def attempt(repo: Repository) -> EntryResponse:
        known = await repo.answered(key)
        if known is None:
            answer = await run(ctx.inside(repo))
            await repo.keep_answer(key, digest, answer)
            return answer
        if known.request != digest:
            raise error("business-rule", "The X-Idempotency-Key was used for another request; each needs its own.")
        return known.answer

    return await ctx.repo.transaction(attempt)


def _digest(ctx: Context, entry: EntryRequest) -> str:
    """Of all that decides the answer, what the caller may do included."""
    said = [
        entry.method,
        entry.url,
        entry.resource,
        entry.if_match,
        entry.if_none_match,
        entry.if_none_exist,
        sorted(entry.prefer),
        ctx.repo.caller.fingerprint,
    ]
    return sha256(json.encode(said)).hexdigest()
