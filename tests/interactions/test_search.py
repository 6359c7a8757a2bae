"""Searches that involve other resources, page by page and with what accompanies them."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context, Limits
from fhir_server.store.connection import Store
from tests.interactions.conftest import Tenant, ask, seen_by, transaction
from tests.interactions.test_paging import linked, walk

SEARCHES = [
    ("Observation?patient.name=x&_count=7", 30),
    ("Observation?subject.name=x1&_sort=_id&_count=4", 9),
    ("Patient?_has:Observation:patient:status=final&_count=3", 10),
    ("Patient?_has:Observation:patient:status=final&name=x&_sort=-birthdate&_count=3", 10),
    ("Patient/p1/Observation?_count=2", 3),
    ("Patient/p1/*?_count=2", 4),
    ("Patient/p1/*?_type=Observation,Patient&_sort=_lastUpdated&_count=2", 4),
]


async def filled(ctx: Context) -> Context:
    entries: list[tuple[str, dict[str, Any]]] = []
    for n in range(10):
        patient = {"resourceType": "Patient", "id": f"p{n}", "birthDate": f"19{n + 10}-01-01"}
        entries.append((f"PUT Patient/p{n}", {**patient, "name": [{"family": f"x{n % 3}"}]}))
        for k in range(3):
            observation = {"resourceType": "Observation", "id": f"o{n}{k}", "status": "final", "code": {"text": "x"}}
            subject = {"subject": {"reference": f"Patient/p{n}"}}
            entries.append((f"PUT Observation/o{n}{k}", {**observation, **subject}))
    await ask(ctx, "POST ", transaction(*entries))
    return ctx


def entries_of(body: bytes | None, mode: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.trusted(body or b"").get("entry", [])
    return [each["resource"] for each in entries if each["search"]["mode"] == mode]


@pytest.mark.parametrize(("search", "total"), SEARCHES)
async def test_every_match_is_on_one_page(ctx: Context, search: str, total: int) -> None:
    await filled(ctx)
    found = await walk(ctx, search)
    assert (len(found), len(set(found))) == (total, total)
    assert await walk(ctx, search) == found
    answer = await ask(ctx, f"GET {search}&_total=accurate")
    assert json.trusted(answer.body or b"")["total"] == total
    assert linked(answer.body, "self") == f"{ctx.base}/{search}&_total=accurate"


async def test_a_page_goes_on_while_the_others_change(ctx: Context) -> None:
    """A patient found by the condition meanwhile, or no longer, changes what is to come and nothing that was shown."""
    await filled(ctx)
    first = await ask(ctx, "GET Observation?patient.name=x1&_sort=_id&_count=4")
    url = (linked(first.body, "next") or "").removeprefix(f"{ctx.base}/")
    await ask(ctx, "PUT Patient/p0", {"resourceType": "Patient", "id": "p0", "name": [{"family": "x1"}]})
    await ask(ctx, "PUT Patient/p7", {"resourceType": "Patient", "id": "p7"})
    second = await ask(ctx, f"GET {url}")
    assert [each["id"] for each in entries_of(first.body, "match")] == ["o10", "o11", "o12", "o40"]
    assert [each["id"] for each in entries_of(second.body, "match")] == ["o41", "o42"]


async def test_more_than_is_included_is_said(tenant: Tenant) -> None:
    ctx = await filled(await tenant(Limits(included=2)))
    answer = await ask(ctx, "GET Patient?_id=p1&_revinclude=Observation:subject")
    assert len(entries_of(answer.body, "include")) == 2
    (outcome,) = entries_of(answer.body, "outcome")
    assert (outcome["issue"][0]["code"], outcome["issue"][0]["severity"]) == ("incomplete", "warning")
    whole = await ask(ctx, "GET Patient?_id=none,p1&_revinclude=Observation:focus")
    assert not entries_of(whole.body, "outcome")


async def test_i27_i28_the_next_link_of_a_chain_is_for_one_caller(ctx: Context, store: Store) -> None:
    await filled(ctx)
    own = seen_by(store, ctx, "patient/*.rs", patient="p1")
    first = await ask(own, "GET Observation?patient.name=x&_count=2")
    url = (linked(first.body, "next") or "").removeprefix(f"{ctx.base}/")
    assert len(entries_of((await ask(own, f"GET {url}")).body, "match")) == 1
    with pytest.raises(FhirError) as refused:
        await ask(seen_by(store, ctx, "patient/*.rs", patient="p2"), f"GET {url}")
    assert refused.value.status == 403


async def test_i43_what_others_have_changes_not_one_byte(ctx: Context, store: Store) -> None:
    await filled(ctx)
    own = seen_by(store, ctx, "patient/*.rs", patient="p1")
    answers = set()
    for value in ("o20", "o30", "none"):
        answer = await ask(own, f"GET Patient?_has:Observation:subject:_id={value}")
        answers.add((answer.body or b"").replace(value.encode(), b""))
    assert len(answers) == 1


async def test_a_chain_may_be_the_condition_of_a_bundle(ctx: Context) -> None:
    await filled(ctx)
    body = {"resourceType": "Observation", "status": "amended", "code": {"text": "y"}}
    answer = await ask(
        ctx,
        "POST ",
        transaction(("PUT Observation?patient._id=p1&_id=o11", body), ("GET Patient/p1/Observation", None)),
    )
    replies = json.trusted(answer.body or b"")["entry"]
    assert [each["response"]["status"][:3] for each in replies] == ["200", "200"]
    assert replies[1]["resource"]["total"] == 2
