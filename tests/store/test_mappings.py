"""What the mapping engine remembers of legacy rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_server.store.connection import Store
from fhir_server.store.mappings import MappingStates
from tests.store.conftest import new_tenant


def state(pk: str, status: str = "mapped", *, table: str = "clients", output: str = "Patient") -> dict[str, Any]:
    return {
        "source_system": "pms",
        "source_table": table,
        "source_pk": pk,
        "output": output,
        "status": status,
        "errors": [],
    }


@pytest.fixture
async def states(any_store: Store) -> MappingStates:
    return MappingStates(any_store, await new_tenant(any_store))


async def test_save_and_load(states: MappingStates) -> None:
    await states.save([state("1"), state("1", output="Coverage#primary"), state("2"), state("1", table="ledger")])
    found = await states.states("pms", "clients", ["1", "9"])
    assert found.keys() == {("1", "Patient"), ("1", "Coverage#primary")}
    assert found["1", "Patient"].items() >= state("1").items()
    assert await states.states("pms", "clients", []) == {}
    assert await states.states("emr", "clients", ["1"]) == {}


async def test_adding_replaces_what_is_there_already(states: MappingStates) -> None:
    await states.save([state("1"), state("2")])
    await states.add([state("2", "skipped"), state("3"), state("1", output="Coverage#primary")])
    await states.add([])
    found = await states.states("pms", "clients", ["1", "2", "3"])
    assert {name: each["status"] for name, each in found.items()} == {
        ("1", "Patient"): "mapped",
        ("2", "Patient"): "skipped",
        ("3", "Patient"): "mapped",
        ("1", "Coverage#primary"): "mapped",
    }


async def test_a_new_state_takes_the_place_of_the_old(states: MappingStates) -> None:
    await states.save([])
    await states.save([state("1", "quarantined")])
    await states.save([{**next(iter((await states.states("pms", "clients", ["1"])).values())), "status": "mapped"}])
    assert await states.counts("pms") == {"clients": {"mapped": 1}}


async def test_counts(states: MappingStates) -> None:
    await states.save([*(state(str(n)) for n in range(3)), state("8", "quarantined"), state("9", table="ledger")])
    assert await states.counts("pms") == {"clients": {"mapped": 3, "quarantined": 1}, "ledger": {"mapped": 1}}
    assert await states.counts("emr") == {}


async def test_quarantined_rows_and_their_snapshots(states: MappingStates) -> None:
    await states.save([state("1"), state("2", "quarantined"), state("3", "quarantined", table="ledger")])
    assert [each["source_pk"] for each in await states.with_status("pms", "quarantined")] == ["2", "3"]
    assert [each["source_pk"] for each in await states.with_status("pms", "quarantined", table="ledger")] == ["3"]
    await states.keep_snapshots([])
    await states.keep_snapshots([{**state("2"), "row": b"sealed", "at": datetime(2024, 1, 1, tzinfo=UTC)}])
    kept = await states.snapshot("pms", "clients", "2")
    assert kept is not None
    assert bytes(kept["row"]) == b"sealed"
    assert await states.snapshot("pms", "clients", "1") is None


async def test_keys_in_order_and_once(states: MappingStates) -> None:
    await states.save([state(pk, output=output) for pk in ("b", "a", "c") for output in ("Patient", "Coverage")])
    assert [pk async for pk in states.keys("pms", "clients")] == ["a", "b", "c"]


async def test_keys_with_bars_are_told_apart(states: MappingStates) -> None:
    await states.save([state("a|b", output="c"), state("a", output="b|c"), state("a||b", output="c")])
    assert len(await states.states("pms", "clients", ["a|b", "a", "a||b"])) == 3


async def test_tenants_are_apart(any_store: Store, states: MappingStates) -> None:
    other = MappingStates(any_store, await new_tenant(any_store))
    await other.save([state("1")])
    await other.keep_snapshots([state("1")])
    assert await states.states("pms", "clients", ["1"]) == {}
    assert await states.counts("pms") == {}
    assert await states.with_status("pms", "mapped") == []
    assert [pk async for pk in states.keys("pms", "clients")] == []
    assert await states.snapshot("pms", "clients", "1") is None
