"""Binary as content.  https://hl7.org/fhir/R4/binary.html#rest"""

from __future__ import annotations

import base64

import pytest

from tests.rest.conftest import House, refusal

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


async def stored(served: House, content: bytes, content_type: str) -> str:
    answer = await served.ask("POST", "Binary", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].partition("/mine/")[2].partition("/_history")[0]


@pytest.mark.parametrize("accept", ["*/*", "image/svg+xml", "text/html"])
async def test_content_comes_out_as_it_went_in_and_is_never_run(served: House, accept: str) -> None:
    place = await stored(served, SVG, "image/svg+xml")
    answer = await served.ask("GET", place, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.content == SVG
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-disposition"] == "attachment"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"] == 'W/"1"'


async def test_it_is_a_resource_for_who_asks_for_fhir(served: House) -> None:
    place = await stored(served, b"\x00\xff", "application/octet-stream")
    answer = await served.ask("GET", place, headers={"Accept": "application/fhir+json"})
    assert answer.json()["data"] == base64.b64encode(b"\x00\xff").decode()
    assert answer.json()["contentType"] == "application/octet-stream"


async def test_it_may_be_written_as_a_resource(served: House) -> None:
    resource = {"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": "aGVsbG8="}
    put = await served.ask("PUT", "Binary/b1", json=resource, headers={"Content-Type": "application/fhir+json"})
    assert put.status_code == 201
    assert (await served.ask("GET", "Binary/b1", headers={"Accept": "text/plain"})).content == b"hello"
    assert (await served.ask("GET", "Binary/b1/_history/1", headers={"Accept": "text/plain"})).content == b"hello"


async def test_new_content_makes_a_new_version(served: House) -> None:
    for version, content in ((1, b"one"), (2, b"two")):
        put = await served.ask("PUT", "Binary/b2", content=content, headers={"Content-Type": "text/plain"})
        assert put.headers["etag"] == f'W/"{version}"'
    assert (await served.ask("GET", "Binary/b2", headers={"Accept": "*/*"})).content == b"two"


async def test_a_type_that_cannot_stand_in_a_header_is_not_put_there(served: House) -> None:
    resource = {"resourceType": "Binary", "id": "b3", "contentType": "nonsense", "data": "aGVsbG8="}
    await served.ask("PUT", "Binary/b3", json=resource, headers={"Content-Type": "application/fhir+json"})
    answer = await served.ask("GET", "Binary/b3", headers={"Accept": "*/*"})
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_a_missing_binary_is_an_outcome(served: House) -> None:
    assert refusal(await served.ask("GET", "Binary/none", headers={"Accept": "image/png"})) == (404, "not-found")
