"""Documents asked for with one command are those that a cursor would bring, whatever happens on the way."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from fhir_server.store import asking
from fhir_server.store.connection import Store
from fhir_server.store.database import Collection
from fhir_server.store.layout import Document

WANTED = {"_id": 0, "n": 1}
NEWEST = [("n", -1)]


async def written(held: Collection, **more: Any) -> str:
    """What ten new documents have in common."""
    mark = uuid4().hex
    await held.insert_many([{"_id": f"{mark}|{each}", "mark": mark, "n": each, **more} for each in range(10)])
    return mark


async def numbers(held: Collection, mark: str, limit: int, **how: Any) -> list[int]:
    found = await asking.page(held, {"mark": mark}, WANTED, limit=limit, most_ms=10_000, sort=NEWEST, **how)
    assert all(each.keys() == {"n"} for each in found)
    return [each["n"] for each in found]


@pytest.mark.parametrize(("limit", "expected"), [(2, [9, 8]), (10, [*range(9, -1, -1)]), (11, [*range(9, -1, -1)])])
async def test_a_page_is_as_long_as_asked_for_and_in_order(any_store: Store, limit: int, expected: list[int]) -> None:
    held = any_store.common.lineage
    mark = await written(held)
    assert await numbers(held, mark, limit) == expected
    assert await numbers(held, mark, limit, hint="_id_") == expected


async def test_one_document_or_none(any_store: Store) -> None:
    held = any_store.common.lineage
    mark = await written(held)
    assert await asking.one(held, {"_id": f"{mark}|3"}, WANTED) == {"n": 3}
    assert await asking.one(held, {"_id": f"{mark}|33"}, WANTED) is None


async def test_a_connection_that_breaks_is_not_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise AutoReconnect("connection closed")

    held = store.common.lineage
    mark = await written(held)
    monkeypatch.setattr(AsyncDatabase, "command", broken)
    assert await numbers(held, mark, 2) == [9, 8]
    assert await asking.one(held, {"_id": f"{mark}|3"}, WANTED) == {"n": 3}


async def test_a_database_that_is_away_is_not_waited_for_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise ServerSelectionTimeoutError("no primary")

    monkeypatch.setattr(AsyncDatabase, "command", away)
    with pytest.raises(ServerSelectionTimeoutError):
        await asking.one(store.common.lineage, {"_id": "x"}, WANTED)


async def test_more_than_one_answer_holds_is_whole_and_leaves_nothing_open(store: Store) -> None:
    """16 MB. https://www.mongodb.com/docs/manual/reference/limits/"""
    held = store.common.lineage
    mark = await written(held, text="x" * 1_800_000)
    found = await asking.page(held, {"mark": mark}, {"n": 1, "text": 1}, limit=10, most_ms=10_000, sort=NEWEST)
    assert [each["n"] for each in found] == [*range(9, -1, -1)]
    open_here: Document = {"type": "idleCursor", "ns": held.full_name}
    stages: list[Document] = [{"$currentOp": {"idleCursors": True}}, {"$match": open_here}]
    async with await held.database.client.admin.aggregate(stages) as left:
        assert await left.to_list() == []
    await held.delete_many({"mark": mark})
