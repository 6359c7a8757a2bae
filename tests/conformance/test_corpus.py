"""The official examples over HTTP: valid ones are stored and read back equal, the others are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.site import JSON, Site
from tests.fhir.test_corpus import PARTS, REFUSED, examples

pytestmark = pytest.mark.slow
UNBOUND = {"clearance": ["*"]}


def digits(raw: bytes | str) -> Any:
    """The resource without what the server sets, each number as the digits it is written with."""
    resource = json.loads(raw, parse_float=lambda text: Decimal(text).as_tuple(), parse_int=str)
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    return {**resource, "meta": meta, "id": None}


@pytest.mark.parametrize("part", range(PARTS))
async def test_every_example(site: Site, r4_package: Path, part: int, counted: Callable[[str, int], None]) -> None:
    """References point to resources that the package does not hold: this tenant does not ask for them.

    Some are labelled, and some Consents forbid: whoever stores and reads them is bound by neither.
    """
    name = f"corpus-{part}"
    await site.app.state.store.tenants.create(name, settings={"references": "free"})
    headers = {"Authorization": f"Bearer {await site.token(name, more=UNBOUND)}", "Content-Type": JSON}
    equal = refused = 0
    for file, raw in examples(r4_package, part):
        resource_type = json.loads(raw)["resourceType"]
        stored = await site.client.post(f"/fhir/{name}/{resource_type}", content=raw, headers=headers)
        if file in REFUSED:
            assert stored.status_code in (400, 422), (file, stored.text)
            refused += 1
            continue
        assert stored.status_code == 201, (file, stored.text)
        read = await site.client.get(
            stored.headers["location"].rpartition("/_history")[0], headers=headers | {"Accept": JSON}
        )
        assert digits(read.text) == digits(raw), file
        equal += 1
    counted("official examples stored and read back equal", equal)
    counted("official examples refused, each with its reason", refused)
