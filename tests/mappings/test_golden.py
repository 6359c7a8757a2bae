"""Each golden row becomes what its file says, and every resource of it is valid."""

from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_server.fhir import json, validate
from fhir_server.mapping import catalogue
from fhir_server.mapping.compile import compiled
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.identity import Identity
from fhir_server.mapping.maps import ConceptMap
from fhir_server.mapping.text import folded
from tests.mappings import golden
from tests.mappings.golden import Golden

TABLES = {each.table.table.name: each for each in golden.read()}
CASES = [(name, case) for name, each in TABLES.items() for case in each.cases]
ENUMS = [(name, line) for name, each in TABLES.items() for line in each.enums]


def resources(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """What an answer has of FHIR; records of features are none."""
    return [each for each in answer["resources"].values() if not is_feature(each["resourceType"])]


@pytest.mark.parametrize(("table", "case"), CASES, ids=[f"{name}: {case['title']}" for name, case in CASES])
def test_rows_become_what_the_file_says(table: str, case: dict[str, Any]) -> None:
    found = golden.answer(TABLES[table], case)
    assert found == case["answer"]
    for resource in resources(found):
        assert [str(each) for each in validate.faults(resource)] == []


@pytest.mark.parametrize(("table", "line"), ENUMS, ids=[f"{name}: {line[:3]}" for name, line in ENUMS])
def test_each_value_of_a_column_becomes_what_its_map_says(table: str, line: list[Any]) -> None:
    assert golden.enum_answer(TABLES[table], line) == line[3]


@pytest.mark.parametrize(("table", "case"), CASES, ids=[f"{name}: {case['title']}" for name, case in CASES])
def test_another_model_of_fhir_accepts_the_answers(table: str, case: dict[str, Any]) -> None:
    """A second opinion: the models of `fhir.resources`, which are not ours."""
    for resource in resources(case["answer"]):
        get_fhir_model_class(resource["resourceType"]).model_validate_json(json.encode(resource))


def test_every_declared_table_has_golden_rows() -> None:
    declared = {table.name for source in catalogue.sources() for table in golden.declared(source).tables.values()}
    assert declared == TABLES.keys()


UNREACHED = {
    "hpms-encounter-status": {"1", "arrived"},  # An encounter begins when the session does.
    "ivr-response-outcome": {"awaiting_documents"},  # An answer is made of a decision only.
    "pms-charge-status": {"non_billable"},  # The ledger has no column that says so.
    "telehealth-class": {"telehealth", "virtual", "video", "phone", "office", "in_person", "clinic"},
}
"""Lines for columns that these tables do not have: theirs is a flag where others have words."""


def test_every_map_line_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of every map is asked for by a case or by a line of `enums`."""
    asked: dict[str, set[str]] = {}
    look_up = ConceptMap.target

    def target(self: ConceptMap, value: Any) -> Any:
        asked.setdefault(self.name, set()).add(folded(value))
        return look_up(self, value)

    monkeypatch.setattr(ConceptMap, "target", target)
    for each in afresh():
        for case in each.cases:
            golden.answer(each, case)
        for line in each.enums:
            golden.enum_answer(each, line)
    maps = golden.declared("pms").maps  # Every source has them all.
    left = {name: found.rows.keys() - asked.get(name, set()) for name, found in maps.items()}
    assert {name: lines for name, lines in left.items() if lines} == UNREACHED


def afresh() -> list[Golden]:
    """Compiled again: what a map was asked before, it remembers."""
    return [
        replace(each, table=compiled(source.tables[each.path.stem], source))
        for each in golden.read()
        for source in [golden.declared(each.table.table.source)]
    ]


def test_mapping_twice_gives_the_same() -> None:
    for each in TABLES.values():
        for case in each.cases:
            assert golden.answer(each, case) == golden.answer(each, case)


def test_a_history_too_long_to_stand_inline_is_a_binary() -> None:
    clients = TABLES["pms.clients"]
    row = {"id": 1, "tenant_id": "acme", "medical_history": "long " * 5000, "updated_at": "2024-01-01 10:00:00"}
    found = golden.answer(clients, {"rows": [row]})["resources"]
    binary, document = found["Binary#history 1"], found["DocumentReference#history 1"]
    assert document["content"] == [{"attachment": {"contentType": "text/plain", "url": f"Binary/{binary['id']}"}}]
    for resource in (binary, document):
        validate.check(resource)


def test_references_meet_the_ids_of_their_targets() -> None:
    client = golden.answer(TABLES["pms.clients"], CASES_BY_TITLE["pms.clients", "typical"])["resources"]
    charge = golden.answer(TABLES["pms.ledger"], CASES_BY_TITLE["pms.ledger", "typical charge"])["resources"]
    patient, coverage = client["Patient 7"]["id"], client["Coverage#primary 7"]["id"]
    claim = charge["Claim ~CLM-1"]
    assert charge["ChargeItem 1"]["subject"] == {"reference": f"Patient/{patient}"}
    assert claim["insurance"][0]["coverage"] == {"reference": f"Coverage/{coverage}"}
    assert claim["insurer"] == {"reference": f"Organization/{client['Organization#payer ~BLUE CROSS']['id']}"}
    assert charge["ClaimResponse ~CLM-1"]["request"] == {"reference": f"Claim/{claim['id']}"}


CASES_BY_TITLE = {(name, case["title"]): case for name, case in CASES}


def test_tenants_share_no_ids() -> None:
    one, other = Identity("https://x.example", "acme"), Identity("https://x.example", "beta")
    assert one.of("pms/clients/7/Patient") != other.of("pms/clients/7/Patient")
