"""FHIRPath Patch: every type of operation, and the paths that locate what it is about."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import fhirpath_patch, path, validate
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.patch import MAX_OPERATIONS, Unpatchable

ROWS = yaml.safe_load(Path(__file__).with_name("fhirpath_patch.yaml").read_text())
PATIENT = {"resourceType": "Patient", "id": "p1", "meta": {"versionId": "1"}}
INTEGERS = ("index", "source", "destination")


def parameters(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts(row)} for row in rows]}


def parts(row: dict[str, Any]) -> list[dict[str, Any]]:
    found = [{"name": "type", "valueCode": row["type"]}, {"name": "path", "valueString": row["path"]}]
    found += [{"name": "name", "valueString": row["name"]}] if "name" in row else []
    found += [{"name": name, "valueInteger": row[name]} for name in INTEGERS if name in row]
    return found + [{"name": "value", key: row[key]} for key in row if key.startswith(("value", "part", "resource"))]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_a_row(row: dict[str, Any]) -> None:
    given = {**PATIENT, **row["given"]}
    before, patch = copy.deepcopy(given), parameters(row["patch"])
    if row["title"] != "an empty path":
        validate.check(patch)
    if "refused" not in row:
        assert fhirpath_patch.read(patch)(given) == {**PATIENT, **row["result"]}
    else:
        with pytest.raises(FhirError) as refusal:
            fhirpath_patch.read(patch)(given)
        assert row["refused"] in refusal.value.issues[0].diagnostics
        assert refusal.value.issues[0].expression == ("Parameters.parameter[0]",)
        assert refusal.value.status == (400 if "needs the part" in row["refused"] else row.get("status", 422))
    assert given == before, "what is given is not changed in place"


def test_a_refusal_names_the_operation() -> None:
    good = {"type": "add", "path": "Patient", "name": "name", "valueHumanName": {"family": "x"}}
    with pytest.raises(FhirError, match=r"^Operation 2: replace 'Patient\.birthDate'") as refusal:
        fhirpath_patch.read(parameters([good, good, {"type": "replace", "path": "Patient.birthDate"}]))(PATIENT)
    assert refusal.value.issues[0].expression == ("Parameters.parameter[2]",)


def test_too_many_operations() -> None:
    row = {"type": "delete", "path": "Patient.birthDate"}
    with pytest.raises(FhirError) as refusal:
        fhirpath_patch.read(parameters([row] * (MAX_OPERATIONS + 1)))
    assert (refusal.value.status, refusal.value.issues[0].code) == (413, "too-costly")


@pytest.mark.parametrize(
    "row",
    [
        {"name": "other", "part": []},
        {"name": "operation"},
        {"name": "operation", "part": [{"name": "type", "valueCode": "delete"}]},
        {"name": "operation", "part": parts({"type": "delete", "path": "Patient.name"}) * 2},
    ],
    ids=["name", "no parts", "no path", "twice"],
)
def test_what_is_no_operation(row: dict[str, Any]) -> None:
    with pytest.raises(FhirError, match="Operation 0") as refusal:
        fhirpath_patch.read({"resourceType": "Parameters", "parameter": [row]})
    assert refusal.value.status == 400


@given(st.text(max_size=60) | st.text("Patientname.[]()'= 01where\\`", max_size=60))
def test_every_text_is_a_path_or_is_refused(text: str) -> None:
    with contextlib.suppress(Unpatchable):
        assert path.parse(text)


def test_a_long_path_is_refused_at_once() -> None:
    with pytest.raises(Unpatchable, match="longer"):
        path.parse("Patient" + ".extension" * 1_000)


@given(values=st.lists(st.text("abc", min_size=1), min_size=1, max_size=6), data=st.data())
def test_a_move_is_undone_by_the_opposite_move(values: list[str], data: st.DataObject) -> None:
    source, destination = (data.draw(st.integers(0, len(values) - 1)) for _ in range(2))
    given = {**PATIENT, "name": [{"given": values}]}
    moves = [(source, destination), (destination, source)]
    rows = [{"type": "move", "path": "Patient.name[0].given", "source": a, "destination": b} for a, b in moves]
    assert fhirpath_patch.read(parameters(rows))(given) == given
