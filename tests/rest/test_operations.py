"""What the operator sees: probes, metrics, logs without anybody in them."""

from __future__ import annotations

import json
import logging

import pytest

from fhir_server.fhir.outcome import transient
from fhir_server.rest.log import JsonLines
from tests.rest.conftest import House, refusal


async def test_the_process_is_alive_and_the_store_ready(served: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await served.client.get("/health/live")).json() == {"status": "up"}
    assert (await served.client.get("/health/ready")).json() == {"status": "up"}

    async def away() -> None:
        raise transient("away")

    monkeypatch.setattr(served.app.state.store, "ping", away)
    down = await served.client.get("/health/ready")
    assert (down.status_code, down.json()) == (503, {"status": "down"})
    assert (await served.client.get("/health/live")).status_code == 200


async def test_metrics_are_labelled_with_interactions_and_nothing_else(served: House) -> None:
    await served.ask("GET", "Patient/CANARY-id")
    await served.ask("GET", "Patient?name=CANARY-name")
    page = (await served.client.get("/metrics")).text
    assert 'fhir_request_seconds_count{interaction="read",method="GET",status="404"}' in page
    assert 'interaction="search-type",method="GET",status="200"' in page
    assert "CANARY" not in page


async def test_a_strange_method_is_one_label(served: House) -> None:
    await served.ask("PROPFIND", "Patient")
    assert 'method="other"' in (await served.client.get("/metrics")).text


async def test_a_request_is_one_line_without_a_patient(
    served: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "fhir_server.requests")
    await served.ask("GET", "Patient?name=CANARY", headers={"X-Request-Id": "mine-1"})
    await served.ask("GET", "Patient/CANARY", headers={"X-Request-Id": "mine-2"})
    served.app.state.records.flush()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    lines = [line for line in lines if line["request"].startswith("mine-")]
    assert [(line["request"], line["interaction"], line["status"]) for line in lines] == [
        ("mine-1", "search-type", 200),
        ("mine-2", "read", 404),
    ]
    assert lines[0]["tenant"] == "mine"
    assert lines[0]["type"] == "Patient"
    assert "CANARY" not in json.dumps(lines)


async def test_a_failure_is_logged_whole(
    served: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the reason")

    monkeypatch.setattr(served.app.state.store, "repository", broken)
    await served.ask("GET", "Patient/p1", headers={"X-Request-Id": "r-3"})
    (line,) = [json.loads(JsonLines().format(each)) for each in caplog.records if each.levelno == logging.ERROR]
    assert line["request"] == "r-3"
    assert "the reason" in line["trace"]


async def test_the_keys_of_a_tenant_are_public_and_a_strangers_are_none(served: House) -> None:
    keys = (await served.client.get("/auth/mine/jwks")).json()["keys"]
    assert [key["alg"] for key in keys] == ["ES384", "RS256"]
    assert all("d" not in key for key in keys)
    assert (await served.client.get("/auth/nobody/jwks")).json() == {"keys": []}


async def test_the_other_endpoints_are_described(served: House) -> None:
    described = (await served.client.get("/openapi.json")).json()["paths"]
    assert {"/health/live", "/health/ready", "/metrics", "/auth/{tenant}/jwks"} <= described.keys()
    assert (await served.client.get("/docs")).status_code == 200
    assert (await served.client.get("/nothing")).status_code == 404
    assert refusal(await served.client.get("/fhir")) == (404, "not-found")
