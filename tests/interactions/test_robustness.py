"""Whatever is posted, the answer is an answer or a refusal, never a fault of the server."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from tests.interactions.conftest import ask

PATIENT = "urn:uuid:6d8e7a3c-6a0b-4f0e-9b9b-000000000001"
VALID: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": PATIENT,
            "resource": {"resourceType": "Patient", "name": [{"family": "x"}]},
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=1"},
        },
        {
            "resource": {
                "resourceType": "Observation",
                "id": "o1",
                "status": "final",
                "code": {"text": "x"},
                "subject": {"reference": PATIENT},
            },
            "request": {"method": "PUT", "url": "Observation/o1", "ifMatch": 'W/"1"'},
        },
        {"request": {"method": "GET", "url": "Patient?_count=1"}},
    ],
}
JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 3),
    st.sampled_from(
        ["", "x", "Patient", "Patient/1", "Patient?", "../..", "$x", "Bundle", "batch", PATIENT, "#a", "urn:x"]
    ),
    st.sampled_from([[], {}, [[]], [None], {"a": 1}, {"reference": "Patient/1"}, {"resourceType": "Bundle"}]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for name, child in children for each in places(child, (*path, name)))]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A transaction or batch, with one to three of its values replaced by something else."""
    bundle = {**copy.deepcopy(VALID), "type": draw(st.sampled_from(["batch", "transaction"]))}
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([each for each in places(bundle) if each]))
        target: Any = bundle
        for name in path:
            target = target[name]
        target[last] = copy.deepcopy(draw(JUNK))
    return bundle


async def status(ctx: Context, request: str, resource: dict[str, Any] | None) -> int:
    """Of the answer or of the refusal; any other exception is a failure of the test."""
    try:
        return (await ask(ctx, request, resource)).status
    except FhirError as refusal:
        return refusal.status


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(bundle=damaged())
async def test_a_damaged_bundle(ctx: Context, bundle: dict[str, Any]) -> None:
    assert await status(ctx, "POST ", bundle) in (200, 400, 403, 404, 409, 410, 412, 422)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "x"]),
    segments=st.lists(
        st.sampled_from(["Patient", "p1", "_history", "1", "_search", "$x", "", "..", "metadata", "é", "%2e"])
    ),
    query=st.text("ab_=&:,|$\\%+. ", max_size=20),
    junk=JUNK,
)
async def test_a_damaged_url(ctx: Context, method: str, segments: list[str], query: str, junk: Any) -> None:
    resource = junk if isinstance(junk, dict) else None
    found = await status(ctx, f"{method} {'/'.join(segments)}?{query}", resource)
    assert found in (200, 201, 204, 400, 404, 405, 409, 410, 412, 422, 501)
