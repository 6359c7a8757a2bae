"""What the documents of the five systems name is mapped: every table, every column, every value of an enumeration.

Where the documents are not here, the tables are those that the sample databases have.
"""

from functools import cache

import pytest
from sqlalchemy import MetaData

from fhir_server.mapping import catalogue
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.coverage import READ_WITH
from fhir_server.mapping.model import Leaf, TableMapping, table_leaves
from fhir_server.mapping.text import folded
from seed import emr_schema, hpms_schema, ivr_schema, mk_schema, pms_schema
from seed.systems import SYSTEMS
from tests.mappings import documents
from tests.mappings.documents import Document

SAMPLES: dict[str, MetaData] = {
    "pms": pms_schema.METADATA,
    "emr": emr_schema.METADATA,
    "ivr": ivr_schema.METADATA,
    "hpms": hpms_schema.METADATA,
    "mk": mk_schema.METADATA,
}
TEXT = ("note", "cctext")
"""Converters that keep whatever is written."""


@cache
def declared(source: str) -> Catalogue:
    return catalogue.load(source)


def documented(source: str) -> Document:
    found = documents.read(source)
    if found is None:
        pytest.skip("the documents of the systems are not here; their sample databases are looked at instead")
    return found


def sample_columns(source: str) -> set[tuple[str, str]]:
    return {(table.name, column.name) for table in SAMPLES[source].tables.values() for column in table.columns}


def told(table: TableMapping, column: str) -> list[str]:
    """The columns of a declaration that a documented one stands for: `insurance_primary_*` for several."""
    stem = column.removesuffix("*")
    return [name for name in table.columns if name == column or (stem != column and name.startswith(stem))]


def test_each_system_has_a_document_and_a_sample() -> None:
    assert documents.TITLES.keys() == SAMPLES.keys() == SYSTEMS.keys()


def missing(source: str, columns: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Columns that a declaration does not name; `check` proves that those it names are used or dropped."""
    tables = declared(source).tables
    return {(table, column) for table, column in columns if table not in tables or not told(tables[table], column)}


@pytest.mark.parametrize("source", sorted(SYSTEMS))
def test_every_documented_table_and_column_is_declared(source: str) -> None:
    found = documented(source)
    assert found.tables - declared(source).tables.keys() == set()
    assert missing(source, found.columns) == set()


@pytest.mark.parametrize("source", sorted(SYSTEMS))
def test_every_column_of_the_sample_is_declared(source: str) -> None:
    assert {table for table, _ in sample_columns(source)} == set(declared(source).tables)
    assert missing(source, sample_columns(source)) == set()


@pytest.mark.parametrize("source", sorted(SYSTEMS))
def test_every_declared_column_is_used_or_dropped_with_a_reason(source: str) -> None:
    for table in declared(source).tables.values():
        assert all(len(reason.split()) > 1 for reason in table.drop.values()), table.name


@pytest.mark.parametrize("source", sorted(SYSTEMS))
def test_every_documented_value_is_known(source: str) -> None:
    found = documented(source)
    assert found.values, "the document names values, and none was found"
    assert {each for each in found.values if not is_known(declared(source), *each)} == set()


def is_known(found: Catalogue, table: str, column: str, value: str) -> bool:
    """It stands among the values or in a map of the column; or the column is kept as text, whatever it says."""
    mapping = found.tables[table]
    reason = mapping.drop.get(column)
    if reason and not reason.startswith(READ_WITH):
        return True
    pipes = [leaf.pipe for leaf in using(found.tables[reason.removeprefix(READ_WITH)] if reason else mapping, column)]
    maps = {str(arg) for pipe in pipes for step in pipe.steps for arg in step.args if arg in found.maps}
    if not maps or any(pipe.steps and pipe.steps[-1].name in TEXT for pipe in pipes):
        return True
    words = {folded(value), folded(value).removesuffix("s")}
    listed = {folded(each) for each in mapping.values.get(column, ())}
    return bool(words & (listed | {word for name in maps for word in found.maps[name].rows}))


def using(mapping: TableMapping, column: str) -> list[Leaf]:
    """What reads a column, as one of the row or of a row that is read with it."""
    return [leaf for leaf in table_leaves(mapping) if any(column in (e.name, e.field) for e in leaf.pipe.columns())]


def test_a_new_column_and_a_new_value_would_be_missed() -> None:
    found = declared("mk")
    assert missing("mk", {("vitals", "systolic_bp"), ("vitals", "waist")}) == {("vitals", "waist")}
    assert is_known(found, "conditions", "severity", "life-threatening")
    assert not is_known(found, "conditions", "severity", "catastrophic")
    assert is_known(found, "family_conditions", "condition_type", "cancer")
    assert not is_known(found, "family_conditions", "condition_type", "spiritual")
