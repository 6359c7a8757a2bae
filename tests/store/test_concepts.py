"""Concepts of large code systems: fetched as needed, replaced at once."""

from __future__ import annotations

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.terminology.code_system import Concept
from fhir_server.fhir.terminology.need import Need
from fhir_server.store import concepts
from fhir_server.store.concepts import Concepts, Loaded, Row, name_of_load
from fhir_server.store.connection import Store
from tests.store.conftest import as_system, new_tenant

URL = "urn:animals"
PARENTS = {"animal": (), "cat": ("animal",), "dog": ("animal",), "kitten": ("cat",), "oak": ()}
ABOVE = {"cat": {"animal"}, "dog": {"animal"}, "kitten": {"cat", "animal"}}


def rows(*codes: str) -> list[Row]:
    return [
        Row(number, code, Concept(code, parents=PARENTS[code], ancestors=frozenset(ABOVE.get(code, ()))), (code,))
        for number, code in enumerate(codes)
    ]


async def loaded(store: Store) -> Concepts:
    found = as_system(store, await new_tenant(store)).concepts
    load = name_of_load(URL, None, b"first")
    await found.keep(load, rows(*PARENTS))
    await found.take_over(URL, None, Loaded(load, "complete", len(PARENTS)))
    return found


async def codes(found: Concepts, need: Need, text: str | None = None) -> list[str] | None:
    answer = await found.those(URL, None, need, text)
    return list(answer[1]) if answer else None


async def test_a_question_fetches_what_it_is_about(any_store: Store) -> None:
    found = await loaded(any_store)
    assert await codes(found, Need(codes={"oak", "unicorn"})) == ["oak"]
    assert await codes(found, Need(below={"cat"})) == ["cat", "kitten"]
    assert await codes(found, Need(above={"kitten"})) == ["animal", "cat", "kitten"]
    assert await codes(found, Need(children={"animal"})) == ["animal", "cat", "dog"]
    assert await codes(found, Need(all=True)) == list(PARENTS)
    assert await codes(found, Need(all=True), "k") == ["kitten", "oak"]
    assert await codes(found, Need(below={"animal"}), "k") == ["animal", "kitten"]
    assert await codes(found, Need()) == []


async def test_a_new_load_is_seen_when_it_is_whole(any_store: Store) -> None:
    found = await loaded(any_store)
    load = name_of_load(URL, None, b"second")
    await found.keep(load, rows("dog"))
    await found.keep(load, rows("dog"))
    assert await found.kept(load) == 1
    assert await codes(found, Need(all=True)) == list(PARENTS)
    await found.take_over(URL, None, Loaded(load, "complete", 1))
    assert await codes(found, Need(all=True)) == ["dog"]
    assert await found.kept(name_of_load(URL, None, b"first")) == 0


async def test_another_version_and_another_tenant_are_apart(any_store: Store) -> None:
    found = await loaded(any_store)
    assert await found.those(URL, "2", Need(all=True)) is None
    other = as_system(any_store, await new_tenant(any_store)).concepts
    assert await other.those(URL, None, Need(all=True)) is None


async def test_too_many_are_refused(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await loaded(any_store)
    monkeypatch.setattr(concepts, "MOST", 4)
    with pytest.raises(FhirError, match="More than 4 concepts"):
        await codes(found, Need(all=True))
