"""Each rule that a profile can state, kept and broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.fhir.profiles.library import Library
from tests.fhir.profiles.shelf import check, defined, faults, shelf

TABLE = yaml.safe_load((Path(__file__).parent / "rules.yaml").read_text())


def rows() -> Iterator[Any]:
    for table in TABLE:
        definition = defined(table["type"], table["elements"], table.get("base"))
        for number, each in enumerate(table["keeps"]):
            yield pytest.param(definition, each, [], id=f"{table['title']} keeps {number}")
        for number, each in enumerate(table["wrong"]):
            yield pytest.param(definition, each["is"], each["faults"], id=f"{table['title']} wrong {number}")


@pytest.mark.parametrize(("definition", "content", "expected"), list(rows()))
def test_a_rule(definition: Any, content: Any, expected: list[str]) -> None:
    resource = {"resourceType": definition["type"], **content}
    found = check(Library(), shelf(definition), resource, ["urn:profile|1.0"])
    assert sorted(faults(found)) == sorted(expected)


def test_a_message_names_the_place_the_rule_and_the_value() -> None:
    definition = defined("Patient", [{"path": "Patient.active", "id": "Patient.active", "fixedBoolean": True}])
    [issue] = check(
        Library(), shelf(definition), {"resourceType": "Patient", "active": False}, ["urn:profile"]
    ).findings.issues()
    assert issue.expression == ("Patient.active",)
    assert issue.diagnostics == "'Patient.active' must be true; it is false. (rule Patient.active of urn:profile|1.0)"
