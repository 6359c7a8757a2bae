"""E05: keys are replaced while many read and write, by a job that is killed again and again: nobody notices.

`FHIR_TEST_REKEYING` says how many resources, writers and kills; 100000,50,20 takes minutes.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from fhir_server.jobs import reencrypt, worker
from fhir_server.store import vault
from fhir_server.store.jobs import new_owner
from fhir_server.store.vault import DATA
from tests.durability.rekeying import Killer, Traffic, filled
from tests.store.sealed import sealed_store

pytestmark = pytest.mark.slow

RESOURCES, WRITERS, KILLS = map(int, os.environ.get("FHIR_TEST_REKEYING", "1000,8,3").split(","))
PAUSE = WRITERS / 20
"""Seconds between what each writer does; in them the others, and the process that is killed, get their turn."""


async def test_e05_no_read_fails_while_keys_are_replaced_and_everything_converges(
    mongo_url: str, tmp_path: Path, counted: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "CURRENT", 0.5)  # Readers and writers are in this process, so it has to learn sooner.
    chance, began = random.Random(5), monotonic()
    async with sealed_store(mongo_url, tmp_path) as store:
        tenant = await store.tenants.create("rekeyed")
        names = await filled(store, tenant, RESOURCES)
        kek = f"file:{tmp_path / 'kek'}"
        place = {"FHIR_MONGO_URL": mongo_url, "FHIR_DATABASE": store.common.name, "FHIR_KEK": kek}
        killer, traffic = Killer(store, tenant, place), Traffic(store, tenant, names, WRITERS, PAUSE)
        filled_after = monotonic() - began
        async with traffic.going():
            done = [await killer.round(chance, patients=number == 0) for number in range(KILLS)]
            monkeypatch.setattr(reencrypt, "SETTLED", 2.0)
            await asyncio.sleep(0)
            while await worker.one(store, {reencrypt.KIND: reencrypt.run}, new_owner(), share=1.0):
                pass
        assert traffic.failures == []
        jobs = await store.jobs.listed(tenant.name, reencrypt.KIND)
        assert {(each.state, each.error) for each in jobs} == {("finished", None)}
        versions = await store.key_versions(tenant).listed(DATA)
        assert len(versions) == KILLS + 1
        replaced = [each.key_id for each in versions[:-1]]
        assert await store.reencryption(tenant).count(replaced) == 0
        assert [await store.key_versions(tenant).wrapped_by(each) for each in replaced] == [0] * KILLS
        retired = await store.key_versions(tenant).retired_patients("")
        assert retired
        assert await store.reencryption(tenant).count(retired) == 0
        store.vault.forget(tenant.name)
        assert await traffic.readable() == RESOURCES
        for what, number in traffic.counted.items():
            counted(f"{what} while keys were replaced", number)
        counted("versions sealed anew before a kill", sum(done))
        print(
            f"{RESOURCES:,} resources in {filled_after:.0f} s, {dict(traffic.counted)}, the longest "
            f"{traffic.longest:.2f} s, {done} and in all {sum(each.done for each in jobs):,} sealed anew, "
            f"{monotonic() - began:.0f} s"
        )
