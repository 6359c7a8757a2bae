"""Words that stand for something, for a while and for one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from fhir_server.store.connection import Store

MINUTE = timedelta(minutes=1)


async def test_a_word_is_taken_by_one(any_store: Store) -> None:
    word = await any_store.handles.new("acme", "code", {"x": 1}, MINUTE)
    assert await any_store.handles.read("acme", "code", word) == {"x": 1}
    taken = await asyncio.gather(*(any_store.handles.take("acme", "code", word) for _ in range(10)))
    assert [each.first for each in taken if each].count(True) == 1
    assert {str(each.content) for each in taken if each} == {"{'x': 1}"}
    assert await any_store.handles.read("acme", "code", word) is None


async def test_a_word_is_of_one_tenant_and_kind_and_time(any_store: Store) -> None:
    word = await any_store.handles.new("acme", "code", {}, MINUTE)
    assert await any_store.handles.take("other", "code", word) is None
    assert await any_store.handles.take("acme", "launch", word) is None
    late = await any_store.handles.new("acme", "code", {}, timedelta(0))
    assert await any_store.handles.read("acme", "code", late) is None
    assert await any_store.handles.take("acme", "code", late) is None


async def test_only_the_digest_of_a_word_is_stored(any_store: Store) -> None:
    word = await any_store.handles.new("acme", "code", {}, MINUTE)
    documents = await any_store.common.handles.find({}).to_list()
    assert word not in str(documents)


async def test_an_assertion_is_shown_once(any_store: Store) -> None:
    until = datetime.now(UTC) + MINUTE
    shown = [await any_store.handles.once("acme", client, "j", until) for client in ("a", "a", "b")]
    assert shown == [True, False, True]
    assert await any_store.handles.once("other", "a", "j", until)
