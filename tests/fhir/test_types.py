"""The compiled types against the walk: whatever is changed in a valid resource, they take nothing that is wrong."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir import json
from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.plans import plan
from fhir_server.fhir.types import compiled, is_sound
from fhir_server.fhir.validate import check, faults

CHANGES = 100
STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    2**31,
    Decimal("1.5"),
    "",
    " ",
    "x",
    "Patient/1",
    "#x",
    "2024-02-30",
    {},
    [],
    [None],
    [{}],
    {"id": "x"},
]
NAMES = ["extension", "id", "valueString", "reference", "contained", "_value", "coding", "resourceType", "foo", "type"]
PERIOD = {"start": "2025", "end": "2024"}


@pytest.mark.parametrize("name", sorted(resource_types()))
def test_every_type_compiles(name: str) -> None:
    assert compiled(name).__name__ == name
    assert plan(name).predicates or name in ("Binary", "Bundle", "Parameters")


def elements(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or array with each of its names or places."""
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in list(found):
        yield value, name
        yield from elements(each)


def replace(holder: Any, name: Any, dice: random.Random) -> None:
    holder[name] = copy.deepcopy(dice.choice(STRANGE))


def drop(holder: Any, name: Any, _: random.Random) -> None:
    del holder[name]


def add(holder: Any, _: Any, dice: random.Random) -> None:
    if isinstance(holder, dict):
        holder[dice.choice(NAMES)] = copy.deepcopy(dice.choice([*STRANGE, PERIOD]))
    else:
        holder.append(copy.deepcopy(dice.choice(STRANGE)))


def wrap(holder: Any, name: Any, _: random.Random) -> None:
    holder[name] = [holder[name]]


def swap(holder: Any, name: Any, dice: random.Random) -> None:
    if isinstance(holder, dict) and holder:
        holder[name], other = holder[dice.choice(list(holder))], holder[name]
        holder["text" if dice.random() < 0.1 else name] = other


MUTATIONS: list[Callable[[Any, Any, random.Random], None]] = [replace, drop, add, wrap, swap]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["Patient", "Observation", "Claim", "Questionnaire", "Bundle", "Parameters", "Encounter", "MedicationRequest"],
)
def test_what_the_fast_check_takes_the_walk_takes(r4_package: Path, name: str) -> None:
    dice = random.Random(name)
    files = [file for file in sorted(r4_package.glob(f"{name}-*.json")) if file.stat().st_size < 20_000][:12]
    for file in files:
        original = json.trusted(file.read_bytes())
        for _ in range(CHANGES):
            changed = copy.deepcopy(original)
            holder, key = dice.choice(list(elements(changed)))
            dice.choice(MUTATIONS)(holder, key, dice)
            found = faults(changed)
            assert not (is_sound(changed) and found), (file.name, found)


def test_a_reference_may_not_be_of_two_types() -> None:
    resource = {
        "resourceType": "Patient",
        "managingOrganization": {"reference": "Organization/1", "type": "Organization"},
    }
    check(resource)
    assert is_sound(resource)
    resource["managingOrganization"] = {"reference": "Organization/1", "type": "Practitioner"}
    assert not is_sound(resource)


def test_nesting_without_end_goes_to_the_walk() -> None:
    extension: dict[str, Any] = {"url": "urn:x", "valueCode": "x"}
    for _ in range(5000):
        extension = {"url": "urn:x", "extension": [extension]}
    assert not is_sound({"resourceType": "Patient", "extension": [extension]})
