"""Rows that no tenant owns: providers and insurers are mapped into each tenant that refers to them, and only there."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from fhir_server.mapping import catalogue
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.source import Source, Span
from seed import ivr


@pytest.fixture(scope="module")
def declared() -> Catalogue:
    return catalogue.load("ivr")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('shared') / 'ivr.db'}"
    ivr.write(url, rows=200, tenant="acme", seed=5, organizations=2)
    return url


@pytest.fixture
def source(url: str, declared: Catalogue) -> Iterator[Source]:
    found = Source(url)
    found.expect(declared.tables)
    yield found
    found.close()


def ids(source: Source, declared: Catalogue, table: str, tenant: str) -> set[str]:
    return {row[0] for row in source.page(declared.tables[table], tenant, Span(), 10_000)}


def test_patients_belong_to_the_organization_that_asked_first(source: Source, declared: Catalogue) -> None:
    one, other = source.tenants(declared.tables["organizations"])
    mine, theirs = ids(source, declared, "patients", one), ids(source, declared, "patients", other)
    assert len(mine | theirs) == 200
    assert len(mine & theirs) == 1, "the patient whom nobody asked for is reported to both"


def test_shared_rows_come_with_whoever_refers_to_them(source: Source, declared: Catalogue, url: str) -> None:
    one, other = source.tenants(declared.tables["organizations"])
    for table in ("healthcare_providers", "insurance_providers"):
        assert ids(source, declared, table, one) & ids(source, declared, table, other)
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE ivr_requests SET doctor_id = NULL"))
        connection.execute(text("UPDATE medical_conditions SET diagnosed_by = NULL"))
        lonely = connection.execute(text("SELECT id FROM healthcare_providers LIMIT 1")).scalar_one()
        connection.execute(
            text(
                "UPDATE ivr_requests SET doctor_id = :lonely WHERE id IN (SELECT r.id FROM ivr_requests r "
                "JOIN users u ON u.id = r.submitter_id WHERE u.organization_id = :one LIMIT 1)"
            ),
            {"lonely": lonely, "one": one},
        )
    assert ids(source, declared, "healthcare_providers", one) == {lonely}
    assert ids(source, declared, "healthcare_providers", other) == set()


def test_rows_that_only_say_whose_a_row_is_are_not_read_with_it(source: Source, declared: Catalogue) -> None:
    table = declared.tables["healthcare_providers"]
    (found, *_) = source.related(table, source.page(table, None, Span(), 1))
    assert found == {}


def test_sizes_are_read_through_the_products_of_a_request(source: Source, declared: Catalogue) -> None:
    table = declared.tables["ivr_requests"]
    related = source.related(table, source.page(table, None, Span(), 500))
    sized = [each for each in related if each["sizes"]]
    assert sized
    for each in sized:
        names = {product["id"]: product["product_name"] for product in each["products"]}
        assert all(size["products_product_name"] == names[size["ivr_product_id"]] for size in each["sizes"])
