"""The CapabilityStatement says what runs, no more and no less."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.fhir import definitions, json, validate
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from fhir_server.interactions.table import INTERACTIONS
from fhir_server.search import registry
from tests.interactions.conftest import Tenant, ask


@pytest.fixture
async def statement(ctx: Context) -> dict[str, Any]:
    answer = await ask(ctx, "GET metadata")
    found: dict[str, Any] = json.trusted(answer.body or b"")
    return found


async def test_it_is_valid(statement: dict[str, Any]) -> None:
    validate.check(statement)


async def test_every_row_of_the_table_is_listed(statement: dict[str, Any]) -> None:
    rest = statement["rest"][0]
    listed = {each["code"] for each in rest["interaction"]}
    listed |= {each["code"] for resource in rest["resource"] for each in resource["interaction"]}
    assert listed == {row.code for row in INTERACTIONS} - {"capabilities"}


async def test_every_resource_type_is_listed(statement: dict[str, Any]) -> None:
    assert {each["type"] for each in statement["rest"][0]["resource"]} == definitions.resource_types()


async def test_search_parameters_are_those_that_search_understands(ctx: Context, statement: dict[str, Any]) -> None:
    for resource in statement["rest"][0]["resource"]:
        assert {each["name"] for each in resource["searchParam"]} == set(registry.supported(resource["type"]))
    patient = next(each for each in statement["rest"][0]["resource"] if each["type"] == "Patient")
    for parameter in patient["searchParam"]:
        answer = await ask(ctx, f"GET Patient?{parameter['name']}:missing=true")
        assert answer.status == 200, parameter["name"]


async def test_records_cannot_be_changed(statement: dict[str, Any]) -> None:
    record = next(each for each in statement["rest"][0]["resource"] if each["type"] == "AuditEvent")
    assert {each["code"] for each in record["interaction"]}.isdisjoint({"update", "patch", "delete"})
    assert (record["updateCreate"], record["conditionalUpdate"], record["conditionalDelete"]) == (
        False,
        False,
        "not-supported",
    )
    assert record["conditionalCreate"] is True


async def test_what_a_tenant_has_set_is_said(tenant: Tenant) -> None:
    plain, strict = await tenant(), await tenant(versioning="versioned-update", conditional_delete="multiple")
    said = []
    for ctx in (plain, strict, plain):
        listed = json.trusted((await ask(ctx, "GET metadata")).body or b"")["rest"][0]["resource"]
        patient = next(each for each in listed if each["type"] == "Patient")
        record = next(each for each in listed if each["type"] == "AuditEvent")
        said.append((patient["versioning"], patient["conditionalDelete"]))
        assert record["conditionalDelete"] == "not-supported"
    assert said == [("versioned", "single"), ("versioned-update", "multiple"), ("versioned", "single")]


async def test_words_are_said_to_be_searched_where_they_are(tenant: Tenant) -> None:
    without, within = await tenant(), await tenant(words="on")
    said = []
    for ctx in (without, within):
        rest = json.trusted((await ask(ctx, "GET metadata")).body or b"")["rest"][0]
        said.append({each["name"] for each in rest["searchParam"]})
    assert said[1] - said[0] == {"_text", "_content"}
    for code in ("_text", "_content"):
        assert (await ask(within, f"GET Patient?{code}=x")).status == 200
        with pytest.raises(FhirError, match="does not have words indexed"):
            await ask(without, f"GET Patient?{code}=x")
    assert (await ask(without, "GET Patient?_list=x")).status == 200


async def test_each_tenant_has_its_own_address(tenant: Tenant) -> None:
    for ctx in (await tenant(), await tenant()):
        answer = await ask(ctx, "GET metadata")
        assert json.trusted(answer.body or b"")["implementation"]["url"] == ctx.base


async def test_includes_are_those_that_search_understands(ctx: Context, statement: dict[str, Any]) -> None:
    resources = {each["type"]: each for each in statement["rest"][0]["resource"]}
    assert set(resources) == definitions.resource_types()
    for resource_type, name in (("Patient", "searchRevInclude"), ("Observation", "searchInclude")):
        parameter = {"searchInclude": "_include", "searchRevInclude": "_revinclude"}[name]
        for value in resources[resource_type][name]:
            answer = await ask(ctx, f"GET {resource_type}?{parameter}={value}")
            assert answer.status == 200, value
    assert {"*", "Observation:subject"} <= set(resources["Observation"]["searchInclude"])
    assert "Observation:code" not in resources["Observation"]["searchInclude"]
    assert "Observation:subject" in resources["Patient"]["searchRevInclude"]
    assert "Encounter:location" not in resources["Patient"]["searchRevInclude"]


async def test_compartments_are_those_that_can_be_searched(ctx: Context, statement: dict[str, Any]) -> None:
    listed = [each.rpartition("/")[2].capitalize() for each in statement["rest"][0]["compartment"]]
    assert len(listed) == 5
    for name in listed:
        known = next(each for each in definitions.resource_types() if each.lower() == name.lower())
        assert (await ask(ctx, f"GET {known}/1/*?_type=Observation,{known}")).status == 200
