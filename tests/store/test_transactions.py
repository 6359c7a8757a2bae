"""All or nothing.  https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

import asyncio

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from fhir_server.fhir.outcome import FhirError, invalid
from fhir_server.store import transactions
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from tests.store.conftest import as_system
from tests.store.resources import observation, patient, plan_of


async def ids(repository: Repository, search: str = "Patient?_sort=_id") -> list[str]:
    return [version.resource_id for version in (await repository.search(plan_of(search))).versions]


async def test_everything_or_nothing(any_repository: Repository) -> None:
    await any_repository.update(patient("old"))

    async def work(inside: Repository, failing: bool) -> int:
        await inside.update(patient("new"))
        await inside.update(patient("old", "Jones"))
        assert await ids(inside, "Patient?name=jones") == ["old"]
        await inside.delete("Patient", "old")
        if failing:
            raise invalid("the last entry is bad")
        return 7

    before = await any_repository.history()
    with pytest.raises(FhirError, match="the last entry is bad"):
        await any_repository.transaction(lambda inside: work(inside, failing=True))
    assert await any_repository.history() == before
    assert await any_repository.transaction(lambda inside: work(inside, failing=False)) == 7
    assert await ids(any_repository) == ["new"]
    assert [each.version_id for each in (await any_repository.history("Patient", "old")).versions] == [3, 2, 1]


async def test_reads_see_what_was_written_in_it_and_nobody_else_does(repository: Repository) -> None:
    async def work(inside: Repository) -> None:
        version = await inside.create(patient("p1"), resource_id="p1")
        assert await inside.current("Patient", "p1") == version
        assert await inside.at("Patient", "p1", "1") == version
        assert (await inside.history("Patient", "p1")).versions == (version,)
        assert await inside.existing([("Patient", "p1")]) == {("Patient", "p1")}
        assert await inside.count(plan_of("Patient?")) == 1
        assert await repository.existing([("Patient", "p1")]) == frozenset()

    await repository.transaction(work)
    assert await repository.existing([("Patient", "p1")]) == {("Patient", "p1")}


async def test_one_resource_may_be_written_twice(any_repository: Repository) -> None:
    async def work(inside: Repository) -> list[int]:
        return [(await inside.update(patient(family=name)))[0].version_id for name in ("a", "b", "c")]

    assert await any_repository.transaction(work) == [1, 2, 3]
    assert len((await any_repository.history("Patient", "p1")).versions) == 3


async def test_one_inside_another_is_the_same(any_repository: Repository) -> None:
    async def inner(inside: Repository) -> str:
        await inside.update(patient())
        return "done"

    assert await any_repository.transaction(lambda inside: inside.transaction(inner)) == "done"
    assert await ids(any_repository) == ["p1"]


async def test_prefetched_states_are_used_and_forgotten_when_written(any_repository: Repository) -> None:
    await any_repository.update(patient("p1"))
    await any_repository.update(patient("gone"))
    await any_repository.delete("Patient", "gone")

    async def work(inside: Repository) -> list[tuple[int, bool]]:
        await inside.prefetch([("Patient", "p1"), ("Patient", "p2"), ("Patient", "gone")])
        done = [await inside.update(patient(each)) for each in ("p1", "p2", "gone", "p1")]
        return [(version.version_id, created) for version, created in done]

    assert await any_repository.transaction(work) == [(2, False), (1, True), (3, True), (3, False)]
    await any_repository.prefetch([("Patient", "p1")])


async def test_those_who_collide_try_again(repository: Repository) -> None:
    async def work(inside: Repository) -> int:
        version, _ = await inside.update(patient())
        await inside.create(observation("", "p1"))
        return version.version_id

    versions = await asyncio.gather(*(repository.transaction(work) for _ in range(6)))
    assert sorted(versions) == [1, 2, 3, 4, 5, 6]
    assert await repository.count(plan_of("Observation?")) == 6


async def test_if_match_is_kept_in_a_collision(repository: Repository) -> None:
    await repository.update(patient())
    tries = [repository.transaction(lambda inside: inside.update(patient(), expected=1)) for _ in range(5)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    refusals = [each for each in results if isinstance(each, FhirError)]
    assert [each.status for each in refusals] == [412] * 4


async def test_a_claim_lets_only_one_create(repository: Repository) -> None:
    async def work(inside: Repository) -> bool:
        await inside.claim("Patient?identifier=http%3A%2F%2Fids%7C1")
        if await inside.count(plan_of("Patient?identifier=http://ids|1")):
            return False
        await inside.create({"resourceType": "Patient", "identifier": [{"system": "http://ids", "value": "1"}]})
        return True

    assert sum(await asyncio.gather(*(repository.transaction(work) for _ in range(8)))) == 1
    assert await repository.count(plan_of("Patient?")) == 1


async def test_gives_up_with_409_when_others_are_always_faster(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "ATTEMPTS", 3)
    attempts = 0

    async def work(inside: Repository) -> None:
        nonlocal attempts
        attempts += 1
        await inside.update(patient())
        problem = OperationFailure("write conflict", 112)
        problem._add_error_label("TransientTransactionError")
        raise problem

    with pytest.raises(FhirError) as refusal:
        await repository.transaction(work)
    assert (refusal.value.status, refusal.value.issues[0].code) == (409, "lock-error")
    assert attempts == 3
    assert await ids(repository) == []


async def test_takes_no_longer_than_its_budget(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "BUDGET", 0.2)

    async def work(inside: Repository) -> None:
        await inside.update(patient())
        await inside.current("Patient", "p1")
        await asyncio.sleep(5)

    with pytest.raises(FhirError) as refusal:
        await repository.transaction(work)
    assert refusal.value.issues[0].code == "too-costly"
    assert await ids(repository) == []


async def test_a_cancelled_one_leaves_nothing(repository: Repository) -> None:
    reached = asyncio.Event()

    async def work(inside: Repository) -> None:
        await inside.update(patient())
        await inside.current("Patient", "p1")
        reached.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(repository.transaction(work))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ids(repository) == []
    await repository.update(patient())


def losing_the_answer(monkeypatch: pytest.MonkeyPatch, *problems: PyMongoError) -> None:
    """The commit takes effect, but its answer does not arrive."""
    commit, lost = AsyncClientSession.commit_transaction, iter(problems)

    async def committing(session: AsyncClientSession) -> None:
        await commit(session)
        for problem in lost:
            problem._add_error_label("UnknownTransactionCommitResult")
            raise problem

    monkeypatch.setattr(AsyncClientSession, "commit_transaction", committing)


async def test_a_commit_whose_answer_was_lost_takes_effect_once(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    losing_the_answer(monkeypatch, AutoReconnect("closed"), AutoReconnect("closed"))
    version, created = await repository.transaction(lambda inside: inside.update(patient()))
    assert (version.version_id, created) == (1, True)
    assert (await repository.history("Patient", "p1")).versions == (version,)


async def test_a_commit_that_is_not_confirmed_is_not_called_unwritten(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    losing_the_answer(monkeypatch, AutoReconnect("closed"), ServerSelectionTimeoutError("nobody"))
    with pytest.raises(FhirError, match="did not confirm") as refusal:
        await repository.transaction(lambda inside: inside.update(patient()))
    assert (refusal.value.status, refusal.value.issues[0].code) == (503, "timeout")
    assert (await repository.current("Patient", "p1")).version_id == 1


@pytest.mark.parametrize("size", [5_000])
async def test_many_entries(store: Store, repository: Repository, size: int) -> None:
    async def work(inside: Repository) -> None:
        await inside.prefetch(("Observation", f"o{number}") for number in range(size))
        for number in range(size):
            await inside.update(observation(f"o{number}", "p1"))

    await repository.transaction(work)
    assert await repository.count(plan_of("Observation?")) == size
    again = as_system(store, repository.tenant)
    await again.transaction(work)
    assert len((await again.history("Observation", "o4999")).versions) == 2
