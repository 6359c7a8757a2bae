"""XML Patch: every operation and selector, and what a body may not bring."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.patch import MAX_OPERATIONS, Unpatchable
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.xml import patch, reader, select, tree, writer
from tests.fhir.test_corpus import is_accepted

ROWS = yaml.safe_load(Path(__file__).with_name("xml_patch.yaml").read_text())
PATIENT = {"resourceType": "Patient", "id": "p1"}


def diff(operations: str) -> bytes:
    return f'<diff xmlns:f="http://hl7.org/fhir">{operations}</diff>'.encode()


def patient(elements: dict[str, Any]) -> Resource:
    """Numbers with the digits that a decimal has."""
    found: Resource = json.trusted(json.encode({**PATIENT, **elements}))
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_a_row(row: dict[str, Any]) -> None:
    before = patient(row["given"])
    kept = copy.deepcopy(before)
    if "refused" not in row:
        assert patch.read(diff(row["patch"]))(before) == patient(row["result"])
    else:
        with pytest.raises(FhirError, match="Operation 0") as refusal:
            patch.read(diff(row["patch"]))(before)
        assert row["refused"] in refusal.value.issues[0].diagnostics
        assert refusal.value.status == row.get("status", 422)
    assert before == kept, "what is given is not changed in place"


@pytest.mark.parametrize("root", ['patch xmlns="urn:ietf:rfc:7351" xmlns:f="http://hl7.org/fhir"', "diff"])
def test_the_names_of_the_root(root: str) -> None:
    assert patch.read(f"<{root}></{root.split()[0]}>".encode())(PATIENT) == PATIENT


def test_decimals_keep_their_digits() -> None:
    before = {"resourceType": "Observation", "status": "final", "valueQuantity": {"value": json.decimal("1.50")}}
    after = patch.read(diff('<replace sel="f:Observation/f:status/@value">amended</replace>'))(before)
    assert str(after["valueQuantity"]["value"]) == "1.50"


def test_too_many_operations() -> None:
    with pytest.raises(FhirError) as refusal:
        patch.read(diff('<remove sel="f:Patient"/>' * (MAX_OPERATIONS + 1)))
    assert refusal.value.status == 413


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"<diff>",
        b"<other/>",
        b"<?xml version='1.0' encoding='latin-1'?><diff/>",
        b"<?php x?><diff/>",
        b"<!DOCTYPE diff><diff/>",
        b"\xff\xfe<\x00",
        b"<diff>" + b"<add>" * 300 + b"</add>" * 300 + b"</diff>",
    ],
)
def test_what_is_no_patch(raw: bytes) -> None:
    with pytest.raises(FhirError) as refusal:
        patch.read(raw)
    assert (refusal.value.status, refusal.value.issues[0].code) == (400, "structure")


@given(st.text(max_size=40) | st.text("f:Patient/[]@='12*name", max_size=40))
def test_every_text_is_a_selector_or_is_refused(text: str) -> None:
    with contextlib.suppress(Unpatchable):
        assert select.read(text, {"f": "x"}).steps


@pytest.mark.slow
def test_the_examples_stay_as_they_are(r4_package: Path) -> None:
    for file in sorted(r4_package.glob("[A-Z]*.json"))[::29]:
        resource = json.trusted(file.read_bytes())
        if file.stat().st_size < 100_000 and is_accepted(resource):
            assert reader.parse(tree.write(tree.read(writer.write(resource)))) == resource, file.name
