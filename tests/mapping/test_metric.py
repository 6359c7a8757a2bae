"""Measurements in metric units: by exact factors, with what was recorded in a note."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir import json, validate
from fhir_server.mapping import catalogue, migration
from fhir_server.mapping.catalogue import versioned
from fhir_server.mapping.metric import CONVERSIONS, metric
from fhir_server.mapping.outcome import Report
from fhir_server.mapping.run import Options
from fhir_server.mapping.source import Source
from fhir_server.store.connection import Store
from seed import mk


def measured(value: str, code: str, unit: str) -> dict[str, Any]:
    quantity = {"value": Decimal(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": code}
    return {"resourceType": "Observation", "valueQuantity": quantity}


@pytest.mark.parametrize(
    ("value", "code", "unit", "becomes", "to"),
    [
        ("150.50", "[lb_av]", "lb", "68.266", "kg"),
        ("70", "[in_i]", "in", "177.800", "cm"),
        ("98.6", "[degF]", "degF", "37.000", "Cel"),
        ("-40", "[degF]", "degF", "-40.000", "Cel"),
        ("5", "[ft_i]", "ft", "152.400", "cm"),
        ("3.5", "[oz_av]", "oz", "99.223", "g"),
    ],
)
def test_exact_factors(value: str, code: str, unit: str, becomes: str, to: str) -> None:
    found = metric(measured(value, code, unit))
    assert str(found["valueQuantity"]["value"]) == becomes
    assert (found["valueQuantity"]["code"], found["valueQuantity"]["unit"]) == (to, to)
    assert found["note"] == [{"text": f"Recorded as {value} {unit}."}]


def test_a_note_that_is_there_stays_and_parts_are_converted() -> None:
    whole = {
        "resourceType": "Observation",
        "note": [{"text": "standing"}],
        "component": [measured("70", "[in_i]", "in"), {"valueString": "x"}],
    }
    found = metric(whole)
    assert [each.get("valueQuantity", {}).get("code") for each in found["component"]] == ["cm", None]
    assert [each["text"] for each in found["note"]] == ["standing", "Recorded as 70 in."]
    assert whole["note"] == [{"text": "standing"}]


@pytest.mark.parametrize("resource", [measured("60", "/min", "/min"), {"resourceType": "Patient", "valueQuantity": {}}])
def test_all_else_stays_as_it_is(resource: dict[str, Any]) -> None:
    assert metric(resource) is resource


def test_another_system_of_units_maps_the_rows_again() -> None:
    found = catalogue.load("mk")
    table = found.tables["vitals"]
    assert versioned(table, found).version != versioned(table, replace(found, units="metric")).version


async def test_a_tenant_that_wants_them(store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mk.db'}"
    mk.write(url, rows=2, tenant="family", seed=3)
    await store.tenants.create("family")

    async def run() -> Report:
        tenant, source = await store.tenants.get("family"), Source(url)
        assert tenant is not None
        declared = migration.declared("mk", tenant)
        options = Options(error_limit=1.0)
        try:
            return await migration.migrate(
                store, tenant, declared, source, opening={}, options=options, tables=["vitals"]
            )
        finally:
            source.close()

    await run()
    await store.tenants.configure("family", {"units": "metric"})
    report = (await run()).tables[0]
    assert report.resources["Observation"]
    assert not (await run()).tables[0].resources
    stored = [json.trusted(bytes(each["body"])) async for each in store.common.resources.find({"rt": "Observation"})]
    codes = {each["valueQuantity"]["code"] for each in stored if "valueQuantity" in each}
    assert {"kg", "cm", "Cel"} <= codes
    assert codes.isdisjoint(CONVERSIONS)
    for resource in stored:
        validate.check(resource)
