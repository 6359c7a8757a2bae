from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.database import SourceError
from fhir_server.mapping.source import Source, Span
from fhir_server.mapping.tenancy import TENANT
from seed import pms as sample


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('source') / 'pms.db'}"
    sample.write(url, rows=120, tenant="acme", seed=3)
    return url


@pytest.fixture
def source(url: str, pms: Catalogue) -> Source:
    source = Source(url)
    source.expect(pms.tables)
    return source


def test_the_sample_database_is_what_the_declarations_expect(source: Source, pms: Catalogue) -> None:
    assert [str(each) for table in pms.in_order() for each in source.problems(table)] == []


def test_a_schema_that_differs_is_named(tmp_path: Path, pms: Catalogue) -> None:
    url = f"sqlite:///{tmp_path / 'odd.db'}"
    sample.write(url, rows=1)
    with create_engine(url).begin() as connection:
        connection.execute(text("ALTER TABLE clients RENAME COLUMN last_name TO surname"))
        connection.execute(text("DROP TABLE users"))
        connection.execute(text("DROP TABLE providers"))
    odd = Source(url)
    found = [str(each) for table in pms.in_order() for each in odd.problems(table)]
    assert any("clients of the source has no column 'last_name'" in each for each in found)
    assert any("warning: The column 'surname' of the source is not declared" in each for each in found)
    assert any("ledger.yaml" in each and "has no table 'users'" in each for each in found)
    assert any("The source has no table 'providers'." in each for each in found)


@pytest.mark.parametrize("size", [1, 7, 50, 120, 500])
def test_pages_hold_every_row_once_in_key_order(source: Source, pms: Catalogue, size: int) -> None:
    table, after, keys = pms.tables["clients"], None, []
    while page := source.page(table, "acme", Span(after), size):
        keys += [row[0] for row in page]
        after = (keys[-1],)
    assert keys == list(range(1, 121))
    assert source.count(table, "acme") == 120


def test_only_rows_of_the_tenant_are_read(source: Source, pms: Catalogue) -> None:
    assert source.page(pms.tables["clients"], "other", Span(), 10) == []
    assert source.tenants(pms.tables["clients"]) == ["acme"]


def test_values_come_as_they_are(source: Source, pms: Catalogue) -> None:
    """A column type that promises dates is not believed: the impossible ones must reach the converter."""
    table = pms.tables["clients"]
    at = list(table.columns).index("date_of_birth")
    found = {row[at] for row in source.page(table, "acme", Span(), 500)}
    assert all(value is None or isinstance(value, str) for value in found)


def test_parents_are_read_with_one_query_for_all_rows(source: Source, pms: Catalogue) -> None:
    table = pms.tables["ledger"]
    page = source.page(table, "acme", Span(), 100)
    related = source.related(table, page)
    assert len(related) == len(page)
    at = list(table.columns).index("appointment_id")
    for row, found in zip(page, related, strict=True):
        assert found["practice"]["id"] == 1
        assert found["appointment"]["id"] == row[at]
        assert found["appointment"][TENANT] == "acme"


def test_merged_rows_are_whole_and_in_order(source: Source, pms: Catalogue) -> None:
    table = pms.tables["ledger"]
    at = list(table.columns).index("insurance_claim_number")
    every = source.page(table, "acme", Span(), 1000)
    claims = {row[at] for row in every if row[at]}
    grouped = source.merged(table, table.merges["claim"], claims, "acme")
    assert {value: len(rows) for value, rows in grouped.items()} == {
        value: sum(row[at] == value for row in every) for value in claims
    }


def test_references_without_a_row_are_counted(source: Source, pms: Catalogue) -> None:
    appointments, providers = pms.tables["appointments"], pms.tables["providers"]
    assert source.orphans(appointments, "provider_id", providers, "acme") == 0
    assert source.orphans(appointments, "provider_id", None, "acme") == 240


@pytest.mark.parametrize("url", ["nonsense", "postgres+nothing://x/y", "sqlite:////does/not/exist.db"])
def test_a_source_that_cannot_be_opened_is_a_sentence(url: str) -> None:
    with pytest.raises(SourceError):
        Source(url)
