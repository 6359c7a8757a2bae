"""Published implementation guides: US Core, and mCODE with all its examples."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.cli import archive
from fhir_server.fhir import json, validate
from fhir_server.fhir.profiles.library import KINDS, Library, Wanted
from fhir_server.fhir.resource import Resource
from tests.cli.packages import us_core
from tests.fhir.profiles.shelf import check, faults, shelf

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
MCODE = "hl7.fhir.us.mcode-4.0.0.tgz"
TABLE = yaml.safe_load((Path(__file__).parent / "us_core.yaml").read_text())
REFUSED = {
    "tnm-pathologic-distant-metastases-category-jenny-m": ["code-invalid Observation.value"],
}
"""Examples of mCODE that do not keep what they claim: a reason for absent data as a value of a required value set."""


@pytest.fixture(scope="module")
def known(guides: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Wanted, Resource]:
    files = (us_core(guides, tmp_path_factory.mktemp("us-core") / "us-core.tgz"), guides / MCODE)
    return shelf(*(each for file in files for each in archive.read(file).definitions if each["resourceType"] in KINDS))


@pytest.fixture(scope="module")
def library() -> Library:
    return Library()


@pytest.mark.parametrize("row", TABLE, ids=[row["title"] for row in TABLE])
def test_us_core(row: Any, known: dict[Wanted, Resource], library: Library) -> None:
    resource = {name: value for name, value in row["is"].items() if value is not None}
    assert validate.faults(resource) == []
    assert sorted(faults(check(library, known, resource, [US_CORE + row["profile"]]))) == sorted(row["faults"])


def test_must_support_elements_that_are_not_there(known: dict[Wanted, Resource], library: Library) -> None:
    found = check(library, known, TABLE[0]["is"], [f"{US_CORE}us-core-patient"])
    absent = found.findings.absent[f"{US_CORE}us-core-patient"]
    assert {"Patient.birthDate", "Patient.address"} <= absent.keys()
    assert "Patient.gender" not in absent


def test_the_examples_of_mcode(
    guides: Path, known: dict[Wanted, Resource], library: Library, counted: Callable[[str, int], None]
) -> None:
    examples = _examples(guides / MCODE)
    targets = {f"{each['resourceType']}/{each['id']}": each for each in examples}
    refused = {}
    for each in examples:
        assert validate.faults(each) == []
        if found := faults(check(library, known, each, targets=targets)):
            refused[each["id"]] = found
    assert refused == REFUSED
    counted("examples of mCODE that keep the profiles they claim", len(examples) - len(refused))


def test_the_patients_of_synthea_keep_us_core(synthea: Path, known: dict[Wanted, Resource], library: Library) -> None:
    bundle = json.trusted(gzip.decompress((synthea / "patient-00.json.gz").read_bytes()))
    patient = next(each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == "Patient")
    assert faults(check(library, known, patient, [f"{US_CORE}us-core-patient"])) == []


def _examples(file: Path) -> list[Resource]:
    found = []
    with tarfile.open(file) as package:
        for member in package:
            stream = package.extractfile(member) if member.name.startswith("package/example/") else None
            example = json.trusted(stream.read()) if stream and member.name.endswith(".json") else {}
            found += [example] if "resourceType" in example else []
    return found
