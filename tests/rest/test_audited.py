"""What requests leave in the record.  https://profiles.ihe.net/ITI/BALP"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.access.caller import Caller
from fhir_server.fhir import validate
from fhir_server.settings import Settings
from tests import events
from tests.rest.conftest import MINE, House, house

TABLE = yaml.safe_load((Path(__file__).parent / "audited.yaml").read_text(encoding="utf-8"))
NUMBERS: Iterator[int] = count(1)


@pytest.fixture(scope="module")
async def recorded(mongo_url: str, database_name: str) -> AsyncIterator[House]:
    settings = Settings(mongo_url=mongo_url, database=database_name, cors_origins={"https://app.example"})
    async for each in house(settings):
        store = each.app.state.store
        repository = store.repository(await store.tenants.latest(MINE), Caller.system(MINE, "tests"))
        for resource in TABLE["given"]:
            deleted = resource.pop("$delete", False)
            await repository.update(resource)
            if deleted:
                await repository.delete(resource["resourceType"], resource["id"])
        yield each


async def ask(house: House, case: dict[str, Any]) -> str:
    """The id of the request."""
    method, _, path = case["request"].partition(" ")
    request_id = f"case-{next(NUMBERS)}"
    headers = {"X-Request-Id": request_id, **case.get("headers", {})}
    scope = case.get("scope", "system/*.cruds")
    if scope is not None:
        token = await house.token(scope, case.get("tenant", MINE), patient=case.get("patient"))
        headers["Authorization"] = f"Bearer {token}"
    more: dict[str, Any] = {}
    if "form" in case:
        more = {"content": case["form"]}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif "body" in case:
        more = {"json": case["body"]}
        headers.setdefault("Content-Type", "application/fhir+json")
    await house.client.request(method, f"/fhir/{MINE}/{path}".rstrip("/"), headers=headers, **more)
    return request_id


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["title"])
async def test_a_request_leaves_its_events(recorded: House, case: dict[str, Any]) -> None:
    store = recorded.app.state.store
    kept = await events.of_request(store, MINE, await ask(recorded, case))
    for each in kept:
        validate.check(each)
    found = [await events.summary(store, MINE, each) for each in kept]
    wanted = case["events"]
    shown = [
        {name: said[name] for name in (wanted[place] if place < len(wanted) else said)}
        for place, said in enumerate(found)
    ]
    assert shown == wanted
