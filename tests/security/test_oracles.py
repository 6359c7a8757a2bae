"""What is hidden answers like what is not there: in every header, and in time."""

from __future__ import annotations

import random
from bisect import bisect_right
from math import exp, sqrt
from statistics import median
from time import perf_counter

import pytest

from fhir_server.access.caller import Caller
from tests.conformance.site import Site

PAIRS = 1_000
TRIES = 3
"""A busy machine may disturb one of them."""
LIMIT = 0.002
SIGNIFICANT = 0.01
OF_EACH_REQUEST = frozenset({"date", "x-request-id"})


@pytest.fixture(scope="module")
async def token(site: Site) -> str:
    store = site.app.state.store
    await store.tenants.create("oracles")
    repository = store.repository(await store.tenants.get("oracles"), Caller.system("oracles", "test"))
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    hidden = [
        {**observation, "id": f"hidden-{number}", "subject": {"reference": "Patient/p2"}} for number in range(PAIRS)
    ]
    await repository.put_many([{"resourceType": "Patient", "id": each} for each in ("p1", "p2")])
    await repository.put_many(hidden)
    return await site.token("oracles", "patient/*.rs", patient="p1")


async def asked(site: Site, token: str, request: str) -> tuple[float, object]:
    begin = perf_counter()
    answer = await site.by_http("oracles", token, {"request": request})
    spent = perf_counter() - begin
    headers = {name: value for name, value in answer.headers.items() if name not in OF_EACH_REQUEST}
    return spent, (answer.status, headers)


def likely_the_same(one: list[float], other: list[float]) -> float:
    """The p-value of the two-sample test of Kolmogorov and Smirnov, as its limit has it."""
    one, other = sorted(one), sorted(other)
    apart = max(
        abs(bisect_right(one, each) / len(one) - bisect_right(other, each) / len(other)) for each in one + other
    )
    scale = apart * sqrt(len(one) * len(other) / (len(one) + len(other)))
    return min(1.0, 2 * sum((-1) ** (k - 1) * exp(-2 * (k * scale) ** 2) for k in range(1, 50))) if scale > 0.2 else 1.0


async def test_i90_what_is_hidden_takes_as_long_as_what_is_not_there(site: Site, token: str) -> None:
    """Pairs in random order, so that what slows the machine slows both."""
    for _ in range(TRIES):
        spent: dict[str, list[float]] = {"hidden": [], "nothing": []}
        for number in range(PAIRS // TRIES):
            for kind in random.sample(sorted(spent), 2):
                spent[kind].append((await asked(site, token, f"GET Observation/{kind}-{number}"))[0])
        difference = abs(median(spent["hidden"]) - median(spent["nothing"]))
        if difference < LIMIT and likely_the_same(*spent.values()) > SIGNIFICANT:
            return
    pytest.fail(f"Medians differ by {difference * 1000:.3f} ms.")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_i66_headers_tell_nothing(site: Site, token: str, method: str) -> None:
    (_, hidden), (_, nothing) = [
        await asked(site, token, f"{method} Observation/{each}") for each in ("hidden-1", "nothing1")
    ]
    assert hidden == nothing


def test_distributions_are_told_apart() -> None:
    """The measure itself."""
    source = random.Random(1)
    one, other = ([source.gauss(1, 0.2) for _ in range(300)] for _ in range(2))
    assert likely_the_same(one, other) > SIGNIFICANT
    assert likely_the_same(one, [each + 0.1 for each in other]) < SIGNIFICANT
