"""The FHIR door from outside.  https://hl7.org/fhir/R4/http.html"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.rest.conftest import House, refusal

FHIR = {"Content-Type": "application/fhir+json"}


def patient(resource_id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": resource_id, "active": True, **more}


async def put(served: House, resource: dict[str, Any]) -> None:
    path = f"{resource['resourceType']}/{resource['id']}"
    answer = await served.ask("PUT", path, json=resource, headers=FHIR)
    assert answer.status_code in (200, 201), answer.text


async def test_a_resource_goes_in_and_comes_out(served: House) -> None:
    raw = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'
    created = await served.ask("POST", "Observation", content=raw, headers=FHIR)
    assert created.status_code == 201
    assert created.headers["etag"] == 'W/"1"'
    location = created.headers["location"]
    assert location.startswith("http://127.0.0.1:8080/fhir/mine/Observation/")
    assert location.endswith("/_history/1")
    found = await served.ask("GET", location.partition("/mine/")[2])
    assert found.status_code == 200
    assert b'"value":1.00' in found.content
    assert found.headers["last-modified"].endswith(" GMT")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["cache-control"] == "private, no-cache"


async def test_head_is_get_without_its_body(served: House) -> None:
    await put(served, patient("head"))
    get, head = await served.ask("GET", "Patient/head"), await served.ask("HEAD", "Patient/head")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "last-modified", "content-type", "content-length"):
        assert head.headers[name] == get.headers[name]
    assert (await served.ask("HEAD", "Patient/nobody")).status_code == 404


async def test_a_version_that_the_client_has_is_not_sent_again(served: House) -> None:
    await put(served, patient("etag"))
    answer = await served.ask("GET", "Patient/etag", headers={"If-None-Match": 'W/"1"'})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == 'W/"1"'
    dated = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    assert (await served.ask("GET", "Patient/etag", headers=dated)).status_code == 304


async def test_if_match_guards_an_update(served: House) -> None:
    await put(served, patient("guarded"))
    for tag, status in (('W/"7"', 412), ('W/"1"', 200), ('W/"1"', 412), ("banana", 400)):
        changed = patient("guarded", gender="female")
        answer = await served.ask("PUT", "Patient/guarded", json=changed, headers={**FHIR, "If-Match": tag})
        assert answer.status_code == status, answer.text


async def test_search_by_get_and_by_form(served: House) -> None:
    await put(served, patient("found", name=[{"family": "Müller"}]))
    got = await served.ask("GET", "Patient?name=m%C3%BCller&_format=json&_pretty=true")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = await served.ask("POST", "Patient/_search?active=true", content=b"name=m%C3%BCller", headers=form)
    for answer in (got, posted):
        assert answer.status_code == 200, answer.text
        assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == ["found"]
    assert got.content.count(b"\n  ") > 3
    # Parameters of the URL and of the form are joined by AND.
    both = await served.ask("POST", "Patient/_search?active=false", content=b"name=m%C3%BCller", headers=form)
    assert both.json().get("entry", []) == []


async def test_a_transaction_and_a_batch_are_posted_to_the_base(served: House) -> None:
    entries = [{"request": {"method": "PUT", "url": "Patient/bundled"}, "resource": patient("bundled")}]
    for kind in ("transaction", "batch"):
        answer = await served.ask(
            "POST", "", json={"resourceType": "Bundle", "type": kind, "entry": entries}, headers=FHIR
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["type"] == f"{kind}-response"
    assert refusal(await served.ask("POST", "", json=patient("x"), headers=FHIR))[0] == 400


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/fhir+json", 200),
        ("application/json", 200),
        ("application/fhir+json; fhirVersion=4.0; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/fhir+turtle", 415),
        ("application/json; fhirVersion=3.0", 415),
        ("application/fhir+xml; fhirVersion=3.0", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
async def test_what_comes_in_is_fhir_json(served: House, content_type: str, status: int) -> None:
    await put(served, patient("typed"))
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await served.ask("PUT", "Patient/typed", content=json.dumps(patient("typed")).encode(), headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert refusal(answer) == (415, "not-supported")


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/fhir+turtle"])
async def test_what_goes_out_is_fhir_json(served: House, accept: str) -> None:
    assert refusal(await served.ask("GET", "Patient", headers={"Accept": accept})) == (406, "not-supported")
    assert refusal(await served.ask("GET", "Patient?_format=exe")) == (406, "not-supported")
    assert (await served.ask("GET", "Patient?_format=json", headers={"Accept": accept})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "Patient/p1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("TRACE", "Patient/p1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("PROPFIND", "Patient", "DELETE, GET, HEAD, PATCH, POST, PUT"),
        ("DELETE", "metadata", "GET, HEAD"),
        ("PUT", "", "GET, HEAD, POST"),
    ],
)
async def test_another_method_is_refused_with_those_that_work(
    served: House, method: str, path: str, allow: str
) -> None:
    answer = await served.ask(method, path)
    assert refusal(answer) == (405, "not-supported")
    assert answer.headers["allow"] == allow


async def test_method_override_headers_are_ignored(served: House) -> None:
    await put(served, patient("kept"))
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert (await served.ask("GET", "Patient/kept", headers={header: "DELETE"})).status_code == 200
    assert (await served.ask("GET", "Patient/kept")).status_code == 200


@pytest.mark.parametrize("path", ["Patient//p1", "Patient/%2e%2e/x", "Patient/p1;v=1", "Patient/p1%00", "Patient%2Fp1"])
async def test_odd_spellings_of_a_path_are_refused(served: House, path: str) -> None:
    assert refusal(await served.ask("GET", path))[0] == 400


async def test_long_urls_and_headers_are_refused(served: House) -> None:
    assert refusal(await served.ask("GET", f"Patient?name={'x' * 16_384}")) == (414, "too-long")
    assert refusal(await served.ask("GET", "Patient", headers={"X-Long": "y" * 65_536})) == (431, "too-long")
    many = {f"X-{number}": "1" for number in range(1000)}
    assert refusal(await served.ask("GET", "Patient", headers=many)) == (431, "too-long")


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_beyond_the_limit_is_refused(served: House, packed: bool) -> None:
    raw = json.dumps(patient("big", name=[{"text": "x" * 100_000}])).encode()
    headers = {**FHIR, **({"Content-Encoding": "gzip"} if packed else {})}
    answer = await served.ask("PUT", "Patient/big", content=gzip.compress(raw) if packed else raw, headers=headers)
    assert refusal(answer) == (413, "too-long")
    assert answer.headers["connection"] == "close"


async def test_gzip_in_and_out(served: House) -> None:
    raw = json.dumps(patient("packed", name=[{"text": "x" * 5000}])).encode()
    headers = {**FHIR, "Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    answer = await served.ask("PUT", "Patient/packed", content=gzip.compress(raw), headers=headers)
    assert answer.status_code == 201
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["name"][0]["text"] == "x" * 5000
    assert refusal(
        await served.ask("PUT", "Patient/packed", content=raw, headers={**FHIR, "Content-Encoding": "br"})
    ) == (
        415,
        "not-supported",
    )


async def test_a_broken_body_is_refused_with_its_place(served: House) -> None:
    for raw in (b"", b"{", b"[]", b'{"resourceType":"Patient","resourceType":"Patient"}'):
        assert refusal(await served.ask("POST", "Patient", content=raw, headers=FHIR)) == (400, "structure")


async def test_a_request_keeps_its_id(served: House) -> None:
    assert (await served.ask("GET", "Patient", headers={"X-Request-Id": "abc-1"})).headers["x-request-id"] == "abc-1"
    unsafe = await served.ask("GET", "Patient", headers={"X-Request-Id": "a b\t{}"})
    assert unsafe.headers["x-request-id"] not in ("", "a b\t{}")


async def test_the_metadata_needs_no_token_and_is_open_to_every_origin(served: House) -> None:
    answer = await served.client.get("/fhir/mine/metadata", headers={"Origin": "https://anyone.example"})
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == "CapabilityStatement"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert refusal(await served.client.get("/fhir/nobody/metadata")) == (404, "not-found")


async def test_origins_that_are_set_may_use_the_api(served: House) -> None:
    for origin, allowed in (("https://app.example", True), ("https://evil.example", False), ("null", False)):
        answer = await served.ask("GET", "Patient", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_preflight_is_answered_without_a_token(served: House) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
    answer = await served.client.options("/fhir/mine/Patient/p1", headers=asked)
    assert answer.status_code == 204
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert len(answer.headers.get_list("access-control-allow-origin")) == 1
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    foreign = await served.client.options("/fhir/mine/Patient/p1", headers={**asked, "Origin": "https://evil.example"})
    assert "access-control-allow-methods" not in foreign.headers


async def test_a_failure_of_ours_says_nothing_but_its_number(served: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret CANARY")

    monkeypatch.setattr(served.app.state.store, "repository", broken)
    answer = await served.ask("GET", "Patient/p1", headers={"X-Request-Id": "r-9"})
    assert refusal(answer) == (500, "exception")
    assert "CANARY" not in answer.text
    assert "r-9" in answer.text


async def test_long_xml_goes_in_and_comes_out(served: House) -> None:
    given = "".join(f'<given value="{number}"/>' for number in range(3000))
    raw = f'<Patient xmlns="http://hl7.org/fhir"><id value="long"/><name>{given}</name></Patient>'
    xml = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    answer = await served.ask("PUT", "Patient/long", content=raw, headers=xml)
    assert answer.status_code == 201, answer.text
    assert given in (await served.ask("GET", "Patient/long", headers=xml)).text


async def test_xml_may_be_compressed_both_ways(served: House) -> None:
    names = "".join(f'<name><family value="{number}"/></name>' for number in range(200))
    raw = gzip.compress(f'<Patient xmlns="http://hl7.org/fhir"><id value="zip"/>{names}</Patient>'.encode())
    headers = {"Content-Type": "application/fhir+xml", "Content-Encoding": "gzip", "Accept": "application/fhir+xml"}
    answer = await served.ask("PUT", "Patient/zip", content=raw, headers=headers)
    assert answer.status_code == 201, answer.text
    found = await served.ask("GET", "Patient/zip", headers={"Accept": "text/xml", "Accept-Encoding": "gzip"})
    assert found.headers["content-encoding"] == "gzip"
    assert names in found.text
