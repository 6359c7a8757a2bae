"""Whatever stands in the columns: no exception, and each resource is valid or the row has an error."""

import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.fhir import validate
from fhir_server.mapping import catalogue
from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.fault import CODES, Finding, is_error
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.grammar import Column
from fhir_server.mapping.identity import merged_key
from fhir_server.mapping.kinds import Scope
from fhir_server.mapping.model import ColumnType
from seed.sealing import sealed_cbc
from tests.mappings import golden

TABLES = {
    table.name: compiled(table, golden.declared(source))
    for source in catalogue.sources()
    for table in golden.declared(source).tables.values()
}
MAPS = sorted({value for each in golden.declared("pms").maps.values() for value in each.rows})
WORDS = st.text(max_size=20) | st.sampled_from([*MAPS, "N/A", "none", "", " ", "A,B", "90837", "F41.1", "a@b.example"])
DATES = (
    st.dates().map(str)
    | st.datetimes().map(str)
    | st.sampled_from(["0000-00-00", "2024-02-30", "", "soon", "2024-01-01"])
)
JSON = st.sampled_from(
    [
        *('["a"]', "[]", "{}", '{"monday": {"start": "9:00"}}', '{"x": 1}', "[1, null]", "[[1]]", "{", '"x"', "3"),
        '{"StudyInstanceUID": "1.2", "SOPClassUID": "1.2.3", "SeriesInstanceUID": "1.2.4", "SOPInstanceUID": "1.2.5"}',
        '{"pages": [{"sections": [{"id": "a", "fields": [{"name": 1, "type": "select", "options": [1, {}]}]}, 7]}]}',
    ]
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": WORDS,
    "integer": st.integers(0, 9) | st.just("7") | st.just("x") | st.just(2.0),
    "decimal": st.floats(allow_nan=True) | st.decimals(allow_nan=False) | WORDS,
    "boolean": st.booleans() | st.sampled_from([0, 1, "t", "no", "maybe"]),
    "date": DATES | st.dates() | st.datetimes(),
    "timestamp": DATES | st.datetimes(),
    "timestamptz": DATES | st.datetimes(timezones=st.just(UTC)),
    "time": st.times().map(str) | WORDS,
    "blob": st.binary(max_size=20) | WORDS,
    "json": JSON | st.lists(st.text(max_size=3), max_size=3),
}


MAY_GIVE_NOTHING = {
    "pms.ledger",
    "ivr.ivr_products",
    "emr.vitals",
    "emr.clinical_images",
    "emr.image_series",
    "emr.icd10_codes",
    "emr.cpt_codes",
}
"""Tables of which some rows are skipped: none of their outputs applies."""


def rows(table: Compiled) -> st.SearchStrategy[tuple[Any, ...]]:
    columns = [
        VALUES[column.name] if column.required else st.none() | VALUES[column.name]
        for column in table.table.columns.values()
    ]
    return st.tuples(*columns)


def related(table: Compiled) -> st.SearchStrategy[dict[str, Any]]:
    parents = {name: st.none() | row_of(parent.columns) for name, parent in table.table.parents.items()}
    children = {
        name: st.lists(row_of(Scope(table.table).rows(Column(name))), max_size=3) for name in table.table.children
    }
    return st.fixed_dictionaries(parents | children)


def row_of(columns: Mapping[str, ColumnType]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.none() | VALUES[kind.name] for name, kind in columns.items()})


def check(resources: list[dict[str, Any]], findings: list[Finding]) -> None:
    assert {each.code for each in findings} <= CODES
    if any(map(is_error, findings)):
        return  # The row is quarantined: nothing of it is stored.
    for resource in resources:
        assert [str(each) for each in validate.faults(resource) if each.code != "invariant"] == []


@pytest.mark.parametrize("name", TABLES)
def test_any_row_is_valid_or_refused(name: str) -> None:
    table = TABLES[name]

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows(table), related(table))
    def hold(row: tuple[Any, ...], parents: dict[str, Any]) -> None:
        findings: list[Finding] = []
        drafts = table.drafts(row, "1", parents, golden.context(table), findings)
        check([each.resource for each in drafts if not is_feature(each.resource["resourceType"])], findings)
        assert len({(draft.output, draft.key) for draft in drafts if draft.output not in table.natural}) == len(
            [draft for draft in drafts if draft.output not in table.natural]
        )
        if not drafts and table.table.outputs:
            assert any(map(is_error, findings)) or name in MAY_GIVE_NOTHING

    hold()


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(0, 10**9) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "payer", "line1"]), inner),
    max_leaves=5,
)
SEALED = (
    "gender",
    "mrn",
    "ssn",
    "phone",
    "email",
    "address",
    "emergencyContact",
    "insurance",
    "allergies",
    "conditions",
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(SEALED), NESTED) | NESTED)
def test_any_sealed_value_is_valid_or_refused(value: Any) -> None:
    table = TABLES["hpms.Patients"]
    row = [None if name not in ("Id", "TenantId") else "7" for name in table.table.columns]
    row[list(table.table.columns).index("PHI_Data")] = sealed_cbc(json.dumps(value))
    findings: list[Finding] = []
    drafts = table.drafts(tuple(row), "7", {}, golden.context(table), findings)
    check([each.resource for each in drafts], findings)


BESIDE = {
    "appointment_status": "completed",
    "series_name": "Visit",
    "series_description": None,
    "series_created_at": "?",
}
"""Columns of parents, among those of rows that are merged."""


@pytest.mark.parametrize(("name", "merge"), [("pms.ledger", "claim"), ("emr.clinical_images", "study")])
def test_any_group_of_rows_is_valid_or_refused(name: str, merge: str) -> None:
    table = TABLES[name]
    columns = list(table.table.columns)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(rows(table), min_size=1, max_size=4), related(table))
    def hold(group: list[tuple[Any, ...]], parents: dict[str, Any]) -> None:
        findings: list[Finding] = []
        items = [{**BESIDE, **dict(zip(columns, row, strict=True))} for row in group]
        drafts = table.merged(
            merge, group[0], merged_key("1.2"), {**parents, merge: items}, golden.context(table), findings
        )
        check([draft.resource for draft in drafts], findings)

    hold()
