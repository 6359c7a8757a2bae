"""Page links: every row once, for the one who searched and nobody else."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from fhir_server.search import page
from fhir_server.search.page import Position
from fhir_server.store.connection import Store
from tests.interactions.conftest import KEY, Tenant, ask, seen_by, transaction

SEARCHES = [
    "Patient?_count=3",
    "Patient?name=x&_count=2",
    "Patient?_sort=-birthdate&_count=4",
    "?_type=Patient&_count=3",
]


async def filled(ctx: Context) -> Context:
    patients = [
        {"resourceType": "Patient", "id": f"p{n}", "birthDate": f"19{n + 10}-01-01", "name": [{"family": f"x{n % 3}"}]}
        for n in range(10)
    ]
    await ask(ctx, "POST ", transaction(*((f"PUT Patient/{each['id']}", each) for each in patients)))
    return ctx


def linked(body: bytes | None, relation: str) -> str | None:
    links = {link["relation"]: link["url"] for link in json.trusted(body or b"")["link"]}
    return links.get(relation)


async def walk(ctx: Context, url: str) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    reached: str | None = f"{ctx.base}/{url}"
    while reached:
        answer = await ask(ctx, "GET " + reached.removeprefix(ctx.base).removeprefix("/"))
        found += [entry["resource"]["id"] for entry in json.trusted(answer.body or b"").get("entry", [])]
        reached = linked(answer.body, "next")
    return found


async def second_page(ctx: Context, search: str = "Patient?_count=3") -> str:
    answer = await ask(ctx, f"GET {search}")
    url = linked(answer.body, "next")
    assert url is not None
    return url.removeprefix(f"{ctx.base}/")


@pytest.mark.parametrize("search", SEARCHES)
async def test_every_match_is_on_one_page(ctx: Context, search: str) -> None:
    await filled(ctx)
    assert sorted(await walk(ctx, search)) == [f"p{n}" for n in range(10)]


@pytest.mark.parametrize("history", ["_history?_count=3", "Patient/_history?_count=4", "Patient/p1/_history?_count=1"])
async def test_every_version_is_on_one_page(ctx: Context, history: str) -> None:
    await filled(ctx)
    for _ in range(3):
        await ask(ctx, "PUT Patient/p1", {"resourceType": "Patient", "id": "p1"})
    expected = ["p1"] * 4 + ([] if "p1" in history else [f"p{n}" for n in range(10) if n != 1])
    assert sorted(await walk(ctx, history)) == sorted(expected)


async def test_what_is_written_meanwhile_moves_nothing(ctx: Context) -> None:
    await filled(ctx)
    first = json.trusted((await ask(ctx, "GET Patient?_count=3&_sort=_id")).body or b"")
    link = await second_page(ctx, "Patient?_count=3&_sort=_id")
    await ask(ctx, "PUT Patient/a", {"resourceType": "Patient", "id": "a"})
    await ask(ctx, f"DELETE Patient/{first['entry'][0]['resource']['id']}")
    second = json.trusted((await ask(ctx, f"GET {link}")).body or b"")
    assert [entry["resource"]["id"] for entry in second["entry"]] == ["p3", "p4", "p5"]


async def test_the_self_link_of_a_page_leads_to_it(ctx: Context) -> None:
    await filled(ctx)
    link = await second_page(ctx)
    answer = await ask(ctx, f"GET {link}")
    assert linked(answer.body, "self") == f"{ctx.base}/{link}"


async def test_i28_another_user_of_the_tenant(store: Store, ctx: Context) -> None:
    await filled(ctx)
    one, two = seen_by(store, ctx, "user/*.rs", "ann"), seen_by(store, ctx, "user/*.rs", "bob")
    link = await second_page(one)
    assert (await ask(one, f"GET {link}")).status == 200
    with pytest.raises(FhirError) as refusal:
        await ask(two, f"GET {link}")
    assert refusal.value.status == 403


async def test_i28_narrower_scopes(store: Store, ctx: Context) -> None:
    await filled(ctx)
    link = await second_page(seen_by(store, ctx, "user/*.rs"))
    with pytest.raises(FhirError) as refusal:
        await ask(seen_by(store, ctx, "user/Patient.rs"), f"GET {link}")
    assert refusal.value.status == 403


async def test_i27_another_tenant(tenant: Tenant, ctx: Context) -> None:
    await filled(ctx)
    neighbour = await filled(await tenant())
    with pytest.raises(FhirError) as refusal:
        await ask(neighbour, f"GET {await second_page(ctx)}")
    assert refusal.value.status in (400, 403)


async def test_another_search(ctx: Context) -> None:
    await filled(ctx)
    cursor = (await second_page(ctx)).partition("_cursor=")[2]
    for url in (
        f"Patient?name=x&_count=3&_cursor={cursor}",
        f"Observation?_count=3&_cursor={cursor}",
        f"_history?_cursor={cursor}",
    ):
        with pytest.raises(FhirError) as refusal:
            await ask(ctx, f"GET {url}")
        assert refusal.value.status == 400


async def test_i29_a_page_that_has_expired(ctx: Context) -> None:
    await filled(ctx)
    position = Position((ctx.repo.caller.fingerprint, "p3"))
    old = page.seal(
        position, f"{ctx.repo.tenant.name}\nPatient?_count=3".encode(), KEY, now=datetime(2020, 1, 1, tzinfo=UTC)
    )
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, f"GET Patient?_count=3&_cursor={old}")
    assert (refusal.value.status, refusal.value.issues[0].code) == (400, "expired")


async def test_i29_one_bit_flipped(ctx: Context) -> None:
    await filled(ctx)
    before, _, cursor = (await second_page(ctx)).partition("_cursor=")
    sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(sealed)):
        flipped = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(FhirError) as refusal:
            await ask(ctx, f"GET {before}_cursor={base64.urlsafe_b64encode(flipped).decode()}")
        assert refusal.value.status == 400


async def test_a_cursor_given_twice(ctx: Context) -> None:
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, "GET Patient?_cursor=a&_cursor=b")
    assert refusal.value.status == 400
