"""Which paths are let in, and which spellings of them are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.outcome import FhirError
from fhir_server.rest.address import located

GOOD = {
    "/fhir/acme": ("acme", ""),
    "/fhir/acme/": ("acme", ""),
    "/fhir/acme/metadata": ("acme", "metadata"),
    "/fhir/acme/Patient": ("acme", "Patient"),
    "/fhir/acme/Patient/": ("acme", "Patient"),
    "/fhir/acme/Patient/p1": ("acme", "Patient/p1"),
    "/fhir/acme/Patient/-p.1": ("acme", "Patient/-p.1"),
    "/fhir/acme/Patient/p1/_history/2": ("acme", "Patient/p1/_history/2"),
    "/fhir/acme/Patient/p1/$everything": ("acme", "Patient/p1/$everything"),
    "/fhir/acme/Patient/p1/%24everything": ("acme", "Patient/p1/$everything"),
    "/fhir/acme/.well-known/smart-configuration": ("acme", ".well-known/smart-configuration"),
}

ODD = [
    "/fhir/acme//Patient/p1",
    "/fhir//Patient",
    "/fhir/acme/Patient//",
    "/fhir/acme/Patient/../Patient/p1",
    "/fhir/acme/./Patient",
    "/fhir/acme/Patient/..",
    "/fhir/../acme/Patient",
    "/fhir/acme/%2e%2e/Patient",
    "/fhir/acme/Patient%2fp1",
    "/fhir/acme/Patient/p1%00",
    "/fhir/acme/Patient;jsessionid=1/p1",
    "/fhir/acme/Patient/p1;a=b",
    "/fhir/acme\\Patient",
    "/fhir/acme/Patient/%252e%252e",
    "/%66hir/acme/Patient",
    "/fhir/acme/Patient/p 1",
    "/fhir/acme/Patient/ü",
    "/fhir/a.b/Patient",
]


def scope(path: str, query: bytes = b"") -> dict[str, object]:
    return {"raw_path": path.encode(), "path": path, "query_string": query}


@pytest.mark.parametrize(("path", "expected"), GOOD.items())
def test_a_plain_path_is_split_into_tenant_and_rest(path: str, expected: tuple[str, str]) -> None:
    address = located(scope(path))
    assert (address.tenant, address.path) == expected


@pytest.mark.parametrize("path", ODD)
def test_an_odd_path_is_refused(path: str) -> None:
    with pytest.raises(FhirError) as refused:
        located(scope(path))
    assert refused.value.status == 400


def test_the_base_without_a_tenant_is_not_found() -> None:
    with pytest.raises(FhirError) as refused:
        located(scope("/fhir/"))
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("query", "status"), [(b"a=" + b"x" * 9000, 414), (b"name=%00", 400), ("name=ü".encode("latin-1"), 400)]
)
def test_a_query_is_bounded_and_plain(query: bytes, status: int) -> None:
    with pytest.raises(FhirError) as refused:
        located(scope("/fhir/acme/Patient", query))
    assert refused.value.status == status


def test_a_server_that_gives_no_raw_path_is_no_way_around() -> None:
    with pytest.raises(FhirError):
        located({"path": "/fhir/acme/Patient/../x", "query_string": b""})


@given(st.text(max_size=30))
def test_any_path_is_plain_or_refused(text: str) -> None:
    try:
        address = located(scope(f"/fhir/acme/{text}"))
    except FhirError:
        return
    assert not {"", ".", ".."} & set(address.path.split("/")) or address.path == ""
