"""Whose row it is, where the row itself does not say."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from fhir_server.mapping import declaration
from fhir_server.mapping.model import TableMapping
from fhir_server.mapping.source import Source, Span
from fhir_server.mapping.tenancy import TENANT

SCHEMA = """
CREATE TABLE patients (id INTEGER PRIMARY KEY, clinic_id INTEGER);
CREATE TABLE encounters (id INTEGER PRIMARY KEY, patient_id INTEGER);
CREATE TABLE notes (id INTEGER PRIMARY KEY, encounter_id INTEGER);
CREATE TABLE drugs (id INTEGER PRIMARY KEY);
CREATE TABLE orders (id INTEGER PRIMARY KEY, patient_id INTEGER, drug_id INTEGER);
INSERT INTO patients VALUES (1, 10), (2, 20), (3, NULL);
INSERT INTO encounters VALUES (1, 1), (2, 2), (3, 3), (4, NULL), (5, 99);
INSERT INTO notes VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, NULL);
INSERT INTO drugs VALUES (1), (2), (3);
INSERT INTO orders VALUES (1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 1, 1);
"""

TABLES = {
    "patients": """
tenant: $clinic_id
columns: {id: integer!, clinic_id: integer}
""",
    "encounters": """
tenant: $patient
columns: {id: integer!, patient_id: integer}
parents:
  patient: {table: patients, by: id, on: $patient_id, columns: {id: integer}}
""",
    "notes": """
tenant: $encounter
columns: {id: integer!, encounter_id: integer}
parents:
  encounter: {table: encounters, by: id, on: $encounter_id, columns: {id: integer, patient_id: integer}}
  patient: {table: patients, by: id, on: $encounter.patient_id, columns: {clinic_id: integer}}
""",
    "orders": """
tenant: $patient
columns: {id: integer!, patient_id: integer, drug_id: integer}
parents:
  patient: {table: patients, by: id, on: $patient_id, columns: {id: integer}}
""",
    "drugs": """
tenant: $orders
columns: {id: integer!}
children:
  orders: {table: orders, by: drug_id, on: $id, order: id, columns: {id: integer}}
""",
}


def mapping(name: str) -> TableMapping:
    return declaration.read(f"source: clinic.{name}\nkey: $id{TABLES[name]}", f"clinic/{name}.yaml")


MAPPINGS = {name: mapping(name) for name in TABLES}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    url = f"sqlite:///{tmp_path_factory.mktemp('clinic') / 'clinic.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in SCHEMA.strip().split(";"):
            if statement.strip():
                connection.execute(text(statement))
    engine.dispose()
    source = Source(url)
    source.expect(MAPPINGS)
    yield source
    source.close()


@pytest.mark.parametrize(
    ("table", "tenant", "keys"),
    [
        ("patients", "10", [1, 3]),
        ("encounters", "10", [1, 3, 4, 5]),
        ("encounters", "20", [2, 3, 4, 5]),
        ("notes", "10", [1, 3, 4, 5, 6]),
        ("notes", "30", [3, 4, 5, 6]),
        ("orders", "20", [2, 3]),
        ("drugs", "10", [1]),
        ("drugs", "20", [1, 2]),
        ("drugs", "30", []),
        ("drugs", None, [1, 2, 3]),
    ],
)
def test_rows_of_a_tenant_and_those_of_nobody_are_read(
    source: Source, table: str, tenant: str | None, keys: list[int]
) -> None:
    found = source.page(MAPPINGS[table], tenant, Span(), 100)
    assert [row[0] for row in found] == keys
    assert source.count(MAPPINGS[table], tenant) == len(keys)


def test_a_parent_row_says_whose_it_is(source: Source) -> None:
    notes = MAPPINGS["notes"]
    found = source.related(notes, source.page(notes, None, Span(), 100))
    owners = [(each["encounter"] or {}).get(TENANT) for each in found]
    assert owners == [10, 20, None, None, None, None]


def test_a_parent_is_found_through_another_parent(source: Source) -> None:
    notes = MAPPINGS["notes"]
    found = source.related(notes, source.page(notes, None, Span(), 100))
    assert [(each["patient"] or {}).get("clinic_id") for each in found] == [10, 20, None, None, None, None]


def test_the_tenants_of_a_table_are_known_through_its_parents(source: Source) -> None:
    assert {name: source.tenants(each) for name, each in MAPPINGS.items()} == {
        "patients": ["10", "20"],
        "encounters": ["10", "20"],
        "notes": ["10", "20"],
        "orders": ["10", "20"],
        "drugs": [],
    }
