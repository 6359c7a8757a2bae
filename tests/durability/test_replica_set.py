"""A replica set of three whose members are killed and paused: what was acknowledged is there, once.

https://www.mongodb.com/docs/manual/core/replica-set-write-concern/ The big run of the same is `make bench-faults`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from bench import faults
from bench.replica_set import Member, ReplicaSet
from bench.writers import Finding, Writers, create, found, tenant_of, together
from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import Store, opened
from fhir_server.store.repository import Repository

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("sockets_of_the_driver"),
]

KILLS = int(os.environ.get("FHIR_TEST_PRIMARY_KILLS", "3"))
PAUSE = float(os.environ.get("FHIR_TEST_PRIMARY_PAUSE", "4"))
AT_ONCE = 20.0
"""Seconds within which every write must be answered, whatever happened."""


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    running = ReplicaSet(tmp_path_factory.mktemp("members"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
async def store(members: ReplicaSet) -> AsyncIterator[Store]:
    async with opened(mongo_url=members.url, database="faults") as found:
        yield found


@pytest.fixture
async def repository(store: Store) -> Repository:
    return await tenant_of(store)


def nothing_is_wrong(finding: Finding) -> None:
    assert (finding.lost, finding.duplicated, finding.torn) == (0, 0, 0), finding
    assert finding.refused_stored == 0, "something was stored of which the answer said that nothing was"
    assert finding.slowest < AT_ONCE, finding


async def test_no_acknowledged_write_is_lost_when_primaries_are_killed(
    members: ReplicaSet, counted: Callable[[str, int], None]
) -> None:
    finding = await faults.kills(members, "killed", KILLS, 50)
    nothing_is_wrong(finding)
    counted("kills of the primary of a replica set", KILLS)
    counted("writes acknowledged around kills of the primary", finding.acknowledged)
    counted("of these lost around kills of the primary", finding.lost)
    counted("of these stored twice around kills of the primary", finding.duplicated)


async def test_the_same_with_write_concern_1_loses_some(members: ReplicaSet) -> None:
    """The control: a harness that cannot see a loss would prove nothing."""
    async with faults.careless(members, "careless") as store:
        async with Writers(await tenant_of(store), [create], count=1) as writers:
            primary = await asyncio.to_thread(members.primary)
            with members.lagging():
                await writers.more(20)
                primary.kill()
            primary.start()
        finding = found(writers.account, await faults.present(members, "careless"))
    assert finding.lost >= 20, finding


async def test_a_paused_primary_acknowledges_nothing_that_is_lost(members: ReplicaSet, repository: Repository) -> None:
    """One writer speaks to the old primary only, which believes for a moment that it still is the primary."""
    old = await asyncio.to_thread(members.primary)
    async with (
        opened(mongo_url=old.url, database="faults") as stale,
        Writers(repository, name="any") as writers,
        Writers(await tenant_of(stale), [create]) as believers,
    ):
        await writers.more(20)
        await faults.paused(members, PAUSE)
        await writers.more(20)
    assert await asyncio.to_thread(members.primary) is not old
    present = await faults.present(members, "faults")
    nothing_is_wrong(found(writers.account, present))
    believed = found(believers.account, present)
    assert (believed.lost, believed.duplicated, believed.refused_stored) == (0, 0, 0), believed


async def test_without_a_majority_writes_are_503_and_do_not_hang(members: ReplicaSet, repository: Repository) -> None:
    others = await asyncio.to_thread(members.secondaries)
    for each in others:
        each.kill()
    started = time.monotonic()
    refusals = await asyncio.gather(
        create(repository, "", "alone"), together(repository, "", "alone-together"), return_exceptions=True
    )
    assert time.monotonic() - started < AT_ONCE
    for each in refusals:
        assert isinstance(each, FhirError)
        assert each.status == 503
        assert dict(each.headers)["Retry-After"]
    for each in others:
        each.start()
    await asyncio.to_thread(members.caught_up)
    await create(repository, "", "in company")


async def test_a_majority_that_does_not_follow_is_not_waited_for_without_end(
    members: ReplicaSet, repository: Repository
) -> None:
    """The members are there and keep the primary what it is, but none of them has what was written."""
    await asyncio.to_thread(members.caught_up)
    started = time.monotonic()
    with members.lagging(), pytest.raises(FhirError) as refusal:
        await create(repository, "", "unfollowed")
    assert time.monotonic() - started < AT_ONCE
    assert (refusal.value.status, refusal.value.issues[0].code) == (503, "timeout")
    await asyncio.to_thread(members.caught_up)
    assert (await repository.current("Basic", "unfollowed")).version_id == 1


def _commit_runs(primary: Member) -> bool:
    found = primary.command({"currentOp": 1, "command.commitTransaction": 1})
    return bool(found["inprog"])


@pytest.mark.parametrize(
    ("point", "data"),
    [
        ("failCommand", {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 60_000}),
        ("waitAfterCommandFinishesExecution", {"commands": ["commitTransaction"]}),
    ],
    ids=["before it takes effect", "after it took effect"],
)
async def test_a_primary_killed_while_it_commits(
    members: ReplicaSet, repository: Repository, point: str, data: dict[str, object]
) -> None:
    word = f"commit-{point}"
    primary = await asyncio.to_thread(members.primary)
    with primary.failing(point, **data):
        writing = asyncio.create_task(together(repository, "", word))
        while not await asyncio.to_thread(_commit_runs, primary):
            assert not writing.done(), "the fail point was not met"
            await asyncio.sleep(0.05)
        primary.kill()
    [answer] = await asyncio.gather(writing, return_exceptions=True)
    primary.start()
    stored = (await faults.present(members, "faults"))[word]
    assert answer is None or (isinstance(answer, FhirError) and answer.status == 503), answer
    unknown = answer is not None and answer.issues[0].code == "timeout"
    assert stored in ({0, 3} if unknown else {3} if answer is None else {0}), (answer, stored)


async def test_a_full_disk_loses_nothing(members: ReplicaSet, store: Store) -> None:
    """The primary may not let any file grow: it ends, and another one takes over."""
    async with Writers(await tenant_of(store), name="full") as writers:
        await writers.more(20)
        primary = await asyncio.to_thread(members.primary)
        primary.fill_disk()
        assert await asyncio.to_thread(primary.ended) != 0
        await asyncio.to_thread(members.primary)
        await writers.more(20)
        primary.start()
    nothing_is_wrong(found(writers.account, await faults.present(members, "faults")))
