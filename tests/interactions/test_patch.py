"""patch: what a table cannot say."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from tests.interactions.conftest import ask

PATIENT = {"resourceType": "Patient", "id": "p1", "active": True}


def binary(*rows: dict[str, Any]) -> dict[str, Any]:
    data = base64.b64encode(json.encode(list(rows))).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


async def test_patches_at_the_same_time_all_count(ctx: Context) -> None:
    await ask(ctx, "PUT Patient/p1", {**PATIENT, "name": [{"family": "x"}]})
    rows = [{"op": "add", "path": "/name/-", "value": {"family": f"n{number}"}} for number in range(6)]
    answers = await asyncio.gather(*(ask(ctx, "PATCH Patient/p1", binary(row)) for row in rows))
    assert sorted(answer.etag or "" for answer in answers) == [f'W/"{number}"' for number in range(2, 8)]
    stored = json.trusted((await ask(ctx, "GET Patient/p1")).body or b"")
    assert {each["family"] for each in stored["name"]} == {"x", *(f"n{number}" for number in range(6))}


async def test_decimals_keep_their_digits(ctx: Context) -> None:
    quantity = json.parse(b'{"value":1.50,"unit":"mg"}')
    observation = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}}
    await ask(ctx, "PUT Observation/o1", {**observation, "valueQuantity": quantity})
    answer = await ask(ctx, "PATCH Observation/o1", binary({"op": "add", "path": "/note", "value": [{"text": "x"}]}))
    assert b'"valueQuantity":{"value":1.50,"unit":"mg"},"note":[{"text":"x"}]' in (answer.body or b"")


@pytest.mark.parametrize(
    "rows",
    [
        [{"op": "test", "path": "/active", "value": True}] * 10_000,
        [{"op": "copy", "from": "/name", "path": "/name/-"}] * 60,
    ],
    ids=["10,000 operations", "a copy bomb"],
)
async def test_too_much_is_413(ctx: Context, rows: list[dict[str, Any]]) -> None:
    await ask(ctx, "PUT Patient/p1", {**PATIENT, "name": [{"family": "x"}]})
    rows = [{"op": "add", "path": "/name/-", "value": ["y" * 1_000_000]}, *rows]
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, "PATCH Patient/p1", binary(*rows))
    assert (refusal.value.status, refusal.value.issues[0].code) == (413, "too-costly")


async def test_data_that_is_not_base64(ctx: Context) -> None:
    await ask(ctx, "PUT Patient/p1", PATIENT)
    with pytest.raises(FhirError) as refusal:
        await ask(ctx, "PATCH Patient/p1", {**binary(), "data": "[]"})
    assert refusal.value.status == 400
