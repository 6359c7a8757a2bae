"""The official examples: the valid ones come back equal, the others are refused for a reason that R4 gives."""

from __future__ import annotations

import json as standard
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.types import is_sound
from fhir_server.fhir.validate import check, faults

REFUSED = {
    each["file"]: each
    for each in yaml.safe_load(Path(__file__).with_name("refused_examples.yaml").read_text(encoding="utf-8"))
}
PARTS = 8
"""The examples are divided, so that the parts can run side by side."""

pytestmark = pytest.mark.slow


def examples(package: Path, part: int) -> Iterator[tuple[str, bytes]]:
    files = sorted(file for file in package.glob("*.json") if file.name != "package.json" and file.name[0] != ".")
    for file in files[part::PARTS]:
        yield file.stem, file.read_bytes()


def digits(raw: bytes) -> Any:
    """The JSON with each number as the digits it is written with."""
    return standard.loads(raw, parse_float=lambda text: Decimal(text).as_tuple(), parse_int=str)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_example(r4_package: Path, part: int, record_property: Any) -> None:
    taken, refused = 0, set()
    for name, raw in examples(r4_package, part):
        resource = json.parse(raw)
        written = json.encode(resource)
        assert digits(written) == digits(raw), name
        assert json.trusted(written) == resource, name
        if is_accepted(resource):
            taken += 1
        else:
            refused.add(name)
            assert REFUSED[name]["at"] in [each.expression[0] for each in faults(resource)], name
    record_property("taken", taken)
    expected = {name for name, _ in examples(r4_package, part)} & REFUSED.keys()
    assert refused == expected


def is_accepted(resource: Resource) -> bool:
    try:
        check(resource)
    except FhirError:
        return False
    return True


@pytest.mark.parametrize("part", range(PARTS))
def test_nearly_all_are_right_at_first_sight(r4_package: Path, part: int) -> None:
    """The compiled types leave few valid resources to the walk, and take none that the walk would refuse."""
    resources = [(name, json.trusted(raw)) for name, raw in examples(r4_package, part) if name not in REFUSED]
    unsure = [name for name, resource in resources if not is_sound(resource)]
    assert len(unsure) < len(resources) / 20
    for name, resource in resources:
        if len(json.encode(resource)) < 30_000:
            assert faults(resource) == [], name
