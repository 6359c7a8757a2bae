"""$graphql beyond single answers: limits, loading many at a time, paging, and what it costs who never asks."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from urllib.parse import quote

import pytest

from fhir_server.access.caller import Caller
from fhir_server.fhir import definitions, json
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from fhir_server.interactions.graphql import session, survey
from fhir_server.interactions.graphql.elements import fields
from fhir_server.interactions.graphql.schema import schema
from fhir_server.interactions.table import context
from fhir_server.store.connection import Store
from fhir_server.store.repository import Repository
from tests.interactions.conftest import Tenant, ask, seen_by, transaction

PATIENTS = 120


def patients(count: int) -> list[dict[str, Any]]:
    doctors = [{"resourceType": "Practitioner", "id": f"d{n}"} for n in range(count)]
    return doctors + [
        {
            "resourceType": "Patient",
            "id": f"p{n:03}",
            "name": [{"family": f"n{n}"}],
            "generalPractitioner": [{"reference": f"Practitioner/d{n}"}, {"reference": "Practitioner/d0"}],
        }
        for n in range(count)
    ]


@pytest.fixture(scope="module")
async def full(store: Store) -> Context:
    found = await store.tenants.create("graph", settings={})
    repository = store.repository(found, Caller.system("graph", "test"))
    await repository.put_many(patients(PATIENTS))
    return context(repository, base="http://fhir.example.org/fhir/graph", cursor_key=b"k" * 32)


async def query(ctx: Context, text: str, path: str = "") -> dict[str, Any]:
    answer = await ask(ctx, f"GET {path}$graphql?query={quote(text)}")
    assert answer.media_type == "application/json"
    found: dict[str, Any] = json.trusted(answer.body or b"")
    return found


async def refused(ctx: Context, text: str) -> str:
    with pytest.raises(FhirError) as refusal:
        await query(ctx, text)
    assert (refusal.value.status, refusal.value.issues[0].code) == (400, "too-costly")
    return refusal.value.issues[0].diagnostics


def nested(depth: int) -> str:
    step = "generalPractitioner{resource{...on Patient{"
    return "{PatientList{" + step * (depth // 2) + "id" + "}}}" * (depth // 2) + "}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{" + " ".join(f"a{n}:Patient(id:p){{id}}" for n in range(1_000)) + "}", "characters"),
        ("{" + " ".join(f"a{n}:Patient(id:p){{id}}" for n in range(101)) + "}", "aliases"),
        (nested(50), "levels"),
        ("{PatientList{" + "id " * 500 + "}}", "fields"),
        ("{" + " ".join(f"{name}List{{id}}" for name in sorted(definitions.resource_types())[:21]) + "}", "types"),
        ("{" + "a{" * 2_400 + "}" * 2_400 + "}", ""),
        ("{...a0}" + "".join(f"fragment a{n} on Patient{{...a{n + 1} ...a{n + 1}}}" for n in range(20))
         + "fragment a20 on Patient{id}", "fields"),
        ("{" + " ".join(f'a{n}:__type(name:"Patient"){{name}}' for n in range(6)) + "}", "asks about"),
    ],
    ids=["length", "aliases", "depth", "fields", "types", "brackets", "fragments", "introspection"],
)  # fmt: skip
async def test_i54_what_would_cost_too_much_is_refused_before_anything_is_read(
    full: Context, text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Repository, "search", None)
    assert says in await refused(full, text)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("MAX_VALUES", "{PatientList(_count:100){id name{family}}}"),
        ("MAX_RESOURCES", "{PatientList(_count:100){id}}"),
        ("MAX_RESOURCES", "{PatientList(_count:15){generalPractitioner{resource{id}}}}"),
        ("MAX_SEARCHES", "{" + " ".join(f"a{n}:PatientList(_count:1){{id}}" for n in range(21)) + "}"),
        ("MAX_SEARCHES", "{PatientConnection{edges{resource{PatientList(_reference:link){id}}}}}"),
    ],
)
async def test_what_comes_to_too_much_is_refused_as_a_whole(
    full: Context, limit: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, limit, 20)
    assert "comes to more than" in await refused(full, text)


async def test_references_are_read_together(full: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    several = Repository.several

    async def counted(self: Repository, keys: Any) -> Any:
        asked.append(len(keys))
        return await several(self, keys)

    monkeypatch.setattr(Repository, "several", counted)
    found = await query(full, "{PatientList(_count:20){generalPractitioner{resource{id}}}}")
    assert [each["generalPractitioner"][1]["resource"] for each in found["data"]["PatientList"]] == [{"id": "d0"}] * 20
    assert asked == [20], "one query, and what is referred to twice is read once"


async def test_a_long_list_is_whole_and_in_order(full: Context) -> None:
    found = await query(full, "{PatientList(_count:200,_sort:_id){id generalPractitioner{resource{id}}}}")
    assert [each["id"] for each in found["data"]["PatientList"]] == [f"p{n:03}" for n in range(PATIENTS)]


async def test_cursors_lead_through_all_matches(full: Context) -> None:
    seen: list[str] = []
    more = ""
    while more is not None:
        given = f',_cursor:"{more}"' if more else ""
        text = f"{{PatientConnection(_count:50,_sort:_id{given}){{next edges{{resource{{id}}}}}}}}"
        page = (await query(full, text))["data"]["PatientConnection"]
        seen += [each["resource"]["id"] for each in page["edges"]]
        more = page["next"]
    assert seen == [f"p{n:03}" for n in range(PATIENTS)]


async def test_a_cursor_is_of_one_caller_and_one_search(full: Context, store: Store) -> None:
    first = await query(full, "{PatientConnection(_count:1){next}}")
    token = first["data"]["PatientConnection"]["next"]
    for ctx, more in ((full, 'name:"n",'), (seen_by(store, full, "user/*.rs"), "")):
        text = f'{{PatientConnection({more}_count:1,_cursor:"{token}"){{next}}}}'
        found = await query(ctx, text)
        assert found["data"] == {"PatientConnection": None}
        assert found["errors"][0]["extensions"]["code"] in ("value", "forbidden")


async def test_an_offset_beyond_what_a_search_gives(full: Context) -> None:
    found = await query(full, "{PatientList(_offset:1000){id}}")
    assert found["errors"][0]["extensions"]["code"] == "too-costly"


async def test_in_a_transaction_it_sees_what_was_written(tenant: Tenant) -> None:
    ctx = await tenant()
    asked = f"$graphql?query={quote('{a:PatientList{id} b:PatientList{id} Patient(id:x){id}}')}"
    bundle = transaction((f"GET {asked}", None), ("PUT Patient/x", {"resourceType": "Patient", "id": "x"}))
    answered = json.trusted((await ask(ctx, "POST ", bundle)).body or b"")
    binary = answered["entry"][0]["resource"]
    assert (binary["resourceType"], binary["contentType"]) == ("Binary", "application/json")


async def test_a_fault_of_the_server_is_not_told_in_the_answer(full: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Repository, "several", broken)
    with pytest.raises(RuntimeError):
        await query(full, "{Patient(id:p001){id}}")


def test_every_element_of_every_type_has_a_field() -> None:
    for name in definitions.resource_types():
        made = fields(name)
        expected = {each for of in definitions.structure(name).elements[name] for each, _ in of.json_names()}
        assert expected <= made.keys()
        assert "resourceType" in made


def test_a_schema_is_small_and_kept() -> None:
    made = schema(frozenset({"Patient"}), frozenset(), "")
    assert made is schema(frozenset({"Patient"}), frozenset(), "")
    assert set(made.query_type.fields) == {"Patient", "PatientList", "PatientConnection"}  # type: ignore[union-attr]
    assert set(made.type_map["Account"].fields) < {"subject"} | set(made.type_map["Resource"].fields)  # type: ignore[attr-defined]


def test_a_name_that_is_no_type_is_left_to_the_schema() -> None:
    assert survey.surveyed("{FooList{id}}")[1].types == set()


def test_who_never_asks_does_not_pay() -> None:
    loaded = "import fhir_server.app, sys; sys.exit('graphql' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
