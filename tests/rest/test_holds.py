"""What is under a legal hold cannot be deleted, by whatever request."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.store.connection import Store
from tests.rest.conftest import MINE, House

OBSERVATION = {"resourceType": "Observation", "id": "held", "status": "final", "code": {"text": "x"}}
TRANSACTION = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [{"request": {"method": "DELETE", "url": "Observation/held"}}],
}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "Observation/held", None),
        ("DELETE", "Observation?_id=held", None),
        ("DELETE", "Patient/held", None),
        ("POST", "", TRANSACTION),
    ],
    ids=["by id", "by criteria", "the patient", "in a transaction"],
)
async def test_a_deletion_is_refused(served: House, method: str, path: str, body: Any) -> None:
    store: Store = served.app.state.store
    about = {"subject": {"reference": "Patient/held"}}
    for resource in ({"resourceType": "Patient", "id": "held"}, {**OBSERVATION, **about}):
        await served.ask("PUT", f"{resource['resourceType']}/held", json=resource)
    tenant = await store.tenants.latest(MINE)
    hold = await store.holds.place(tenant, "Patient/held", "a lawsuit", "counsel")
    answer = await served.ask(method, path, **({"json": body} if body else {}))
    assert answer.status_code == 409
    (issue,) = answer.json()["issue"]
    assert issue["code"] == "business-rule"
    assert "legal hold" in issue["diagnostics"]
    assert "lawsuit" not in issue["diagnostics"]
    assert (await served.ask("GET", "Observation/held")).status_code == 200
    await store.holds.release(tenant, hold.name, "settled", "the court")
    assert (await served.ask("DELETE", "Observation/held")).status_code == 204
