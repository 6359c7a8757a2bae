"""Documents that fit one answer, asked for with one command.
https://www.mongodb.com/docs/manual/reference/command/find/

A cursor of the driver can go on and be closed, which nobody wants of one document or of a page: it would cost a tenth
of a read. Where there is more than one answer holds, or a connection breaks, a cursor does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from fhir_server.store.database import Collection, Session
from fhir_server.store.layout import Document

Filter = Mapping[str, Any]


async def one(held: Collection, found: Filter, wanted: Filter, *, session: Session | None = None) -> Document | None:
    """The document that a filter on a key finds."""
    if session is None and isinstance(held, AsyncCollection):
        asked = {"find": held.name, "filter": found, "projection": wanted, "limit": 1, "singleBatch": True}
        answered = await _answered(held, asked)
        if answered is not None:
            return next(iter(answered["firstBatch"]), None)
    return await held.find_one(found, wanted, session=session)


async def page(
    held: Collection,
    found: Filter,
    wanted: Filter,
    *,
    limit: int,
    most_ms: int,
    sort: Sequence[tuple[str, int]] = (),
    hint: str | None = None,
    session: Session | None = None,
) -> list[Document]:
    """As many documents as a page has, as one batch: MongoDB would send the first hundred alone."""
    if session is None and isinstance(held, AsyncCollection):
        batch = {"limit": limit, "batchSize": limit, "maxTimeMS": most_ms}
        how = {**({"sort": dict(sort)} if sort else {}), **({"hint": hint} if hint else {})}
        answered = await _answered(held, {"find": held.name, "filter": found, "projection": wanted, **batch, **how})
        if answered is not None and not answered["id"]:
            return list(answered["firstBatch"])
        if answered is not None:
            await held.database.command({"killCursors": held.name, "cursors": [answered["id"]]})
    cursor = held.find(found, wanted, session=session, limit=limit, batch_size=limit, max_time_ms=most_ms)
    if sort:
        cursor = cursor.sort(sort)
    return await (cursor.hint(hint) if hint else cursor).to_list()


async def _answered(held: Collection, asked: Document) -> Document | None:
    """The first batch; None where the connection broke, which only a cursor survives.

    https://www.mongodb.com/docs/manual/core/retryable-reads/
    """
    if held.read_concern.level:
        asked["readConcern"] = held.read_concern.document
    try:
        answer = await held.database.command(
            asked, read_preference=held.read_preference, codec_options=held.codec_options
        )
    except ServerSelectionTimeoutError:
        raise
    except AutoReconnect:
        return None
    cursor: Document = answer["cursor"]
    return cursor
