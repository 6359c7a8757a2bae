"""Words are indexed where a tenant wants them, and searched once all of them are."""

from __future__ import annotations

from typing import Any

from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.store import tenants
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from fhir_server.store.tenants import INDEXING
from tests.store.conftest import as_system, new_tenant


def noted(text: str) -> dict[str, Any]:
    return {"resourceType": "Basic", "code": {"text": text}}


async def found(repository: Repository, condition: str) -> list[str]:
    query = parse(("Basic",), [("_content", condition)], lenient=False, base="", words=True)
    return sorted(version.resource_id for version in (await repository.search(plan(query))).versions)


async def test_words_of_what_is_there_are_indexed_when_they_are_wanted(any_store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(tenants, "REMEMBERED", 0.0)
    tenant = await new_tenant(any_store)
    before = as_system(any_store, tenant)
    await before.create(noted("fever"), resource_id="old")
    await before.create(noted("fever"), resource_id="gone")
    await before.delete("Basic", "gone")
    assert await found(before, "fever") == []

    seen: list[str] = []
    index_words = any_store.tenants._index_words

    async def watched(indexing: tenants.Tenant) -> None:
        seen.append(indexing.setting("words"))
        await as_system(any_store, indexing).create(noted("fever"), resource_id="meanwhile")
        await index_words(indexing)

    monkeypatch.setattr(any_store.tenants, "_index_words", watched)
    wanted = await any_store.tenants.configure(tenant.name, {"words": "on"})
    assert (seen, wanted.setting("words")) == ([INDEXING], "on")
    after = as_system(any_store, wanted)
    await after.create(noted("fever"), resource_id="new")
    assert await found(after, "fever") == ["meanwhile", "new", "old"]
    await any_store.tenants.configure(tenant.name, {"words": "on"})
    assert len(seen) == 1, "what is on stays on"


async def test_a_superseded_version_keeps_no_words(store: Store) -> None:
    tenant = await store.tenants.create("wordy-history", settings={"words": "on"})
    repository = as_system(store, tenant)
    await repository.create(noted("fever"), resource_id="b")
    await repository.update({**noted("chills"), "id": "b"})
    assert await found(repository, "fever or chills") == ["b"]
    assert await found(repository, "fever") == []
    past = await store.common.history.find({"t": tenant.name}).to_list()
    assert [("txt" in each, each["v"]) for each in past] == [(False, 1)]


async def test_the_index_of_words_serves_and_is_empty_for_others(store: Store) -> None:
    tenant = await store.tenants.create("wordy-index", settings={"words": "on"})
    await as_system(store, tenant).put_many([{**noted(f"w{number}"), "id": f"b{number}"} for number in range(50)])
    resources = store.common.resources
    for wanted in ({"txt": "_content:w7"}, {"txt": {"$in": ["_text:w7", "_content:w7"]}}):
        explained = await resources.find({"t": tenant.name, "rt": "Basic", **wanted}).hint("txt").explain()
        assert explained["executionStats"]["totalKeysExamined"] <= 3
        assert explained["executionStats"]["nReturned"] == 1
