"""What every answer carries, whoever gives it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from fhir_server.rest import metrics
from fhir_server.rest.exchange import CLOSED_BY_CLIENT, KEY, Exchange
from fhir_server.rest.recorder import Recorder
from fhir_server.rest.records import PAUSE, Records


async def recorded(app: Any, *, secure: bool = False, headers: Any = ()) -> tuple[Exchange, dict[str, str]]:
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": list(headers)}
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await Recorder(app, records=Records(), secure=secure)(scope, None, send)  # type: ignore[arg-type]
    answered = {name.decode(): value.decode() for name, value in messages[0]["headers"]} if messages else {}
    return scope[KEY], answered


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"hel", "more_body": True})
    await send({"type": "http.response.body", "body": b"lo"})


async def test_an_answer_gets_its_security_headers_and_its_id() -> None:
    exchange, headers = await recorded(hello)
    assert headers["a"] == "b"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-request-id"] == exchange.request_id
    assert "strict-transport-security" not in headers
    assert (exchange.status, exchange.sent) == (200, 5)


async def test_behind_tls_the_client_is_told_to_stay_there() -> None:
    assert "strict-transport-security" in (await recorded(hello, secure=True))[1]


async def test_a_client_that_went_away_is_recorded() -> None:
    async def silent(*_: object) -> None:
        return None

    assert (await recorded(silent))[0].status == CLOSED_BY_CLIENT


async def test_a_failure_is_recorded_and_passed_on() -> None:
    scope = {"type": "http", "method": "GET", "headers": []}

    async def broken(*_: object) -> None:
        raise RuntimeError("x")

    with pytest.raises(RuntimeError):
        await Recorder(broken, records=Records(), secure=False)(scope, None, None)  # type: ignore[arg-type]
    assert scope[KEY].status == 500  # type: ignore[attr-defined]


async def test_other_protocols_pass() -> None:
    seen = []

    async def app(scope: Any, *_: object) -> None:
        seen.append(scope["type"])

    await Recorder(app, records=Records(), secure=False)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


@pytest.mark.parametrize("given", [b"", b"a b", b"a\n", b"x" * 65, b"{}", "é".encode()])
async def test_an_id_that_could_do_harm_is_not_taken_over(given: bytes) -> None:
    exchange, _ = await recorded(hello, headers=[(b"x-request-id", given)])
    assert exchange.request_id.encode() != given


async def test_ids_are_never_the_same() -> None:
    assert len({(await recorded(hello))[0].request_id for _ in range(100)}) == 100


async def test_what_is_over_is_recorded_soon_and_once(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "fhir_server.requests")
    records = Records()
    for number in range(3):
        records.add(Exchange(f"r-{number}", 0.0, 0.0, "GET", interaction="test-of-records", status=200))
    assert written(capfd) == []
    await asyncio.sleep(PAUSE * 2)
    assert written(capfd) == ["r-0", "r-1", "r-2"]
    records.flush()
    assert written(capfd) == []
    assert b'fhir_request_seconds_count{interaction="test-of-records",method="GET",status="200"} 3.0' in metrics.page()


def written(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The ids of the requests of this test that were logged."""
    ids = [json.loads(line)["request"] for line in capfd.readouterr().err.splitlines()]
    return [each for each in ids if each.startswith("r-")]
