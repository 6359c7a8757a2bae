"""A second opinion: `fhir.resources` differs on exactly the resources that `differences.yaml` explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from fhir_server.fhir import json
from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.validate import faults
from tests.fhir.test_corpus import REFUSED
from tests.fhir.test_wrong import TABLES, sent

EXPLAINED: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("differences.yaml").read_text(encoding="utf-8"))
SMALLEST = 3
"""So many examples of each type are asked about."""

pytestmark = pytest.mark.filterwarnings("ignore")
"""Those of the other package are its own."""


@cache
def model(name: Any) -> Any:
    """The class of a type; None where R4B has none."""
    try:
        return getattr(import_module(f"fhir.resources.R4B.{str(name).lower()}"), str(name))
    except (ImportError, AttributeError):
        return None


def accepts(resource: Any) -> bool:
    try:
        model(resource["resourceType"]).model_validate_json(json.encode(resource))
    except (ValidationError, LookupError, TypeError, AttributeError):  # it stumbles over what it does not expect
        return False
    return True


def explained(kind: str) -> Iterator[tuple[str, str]]:
    for each in EXPLAINED[kind]:
        for table, titles in each["rows"].items():
            yield from ((table, title) for title in (all_of(table) if titles == "all" else titles))


def all_of(table: str) -> list[str]:
    return [row["title"] for row in TABLES[table]]


def test_what_is_wrong(counted: Callable[[str, int], None]) -> None:
    judged = [
        (name, row) for name, rows in TABLES.items() for row in rows if model(row["resource"].get("resourceType"))
    ]
    different = {(name, row["title"]) for name, row in judged if accepts(sent(row)) != (row["status"] == 200)}
    listed = list(explained("accepts_what_is_wrong"))
    assert different == set(listed)
    assert len(listed) == len(set(listed))
    counted("wrong resources on which fhir.resources was asked", len(judged))
    counted("wrong resources that fhir.resources accepts, each explained", len(different))


def test_what_is_right(r4_package: Path, counted: Callable[[str, int], None]) -> None:
    different = set()
    for example in examples(r4_package):
        resource = json.trusted(example.read_bytes())
        if accepts(resource) != (not faults(resource)):
            different.add(example.stem)
        counted("official examples on which fhir.resources was asked", 1)
    assert different == {each for row in EXPLAINED["refuses_what_is_right"] for each in row["examples"]}


def examples(package: Path) -> Iterator[Path]:
    files = (file for file in package.glob("*-*.json") if file.stem not in REFUSED and model(type_of(file)))
    by_type = sorted(files, key=lambda file: (type_of(file), file.stat().st_size, file.stem))
    for _, found in groupby(by_type, type_of):
        yield from list(found)[:SMALLEST]


def type_of(file: Path) -> str:
    return file.stem.partition("-")[0]


def test_types_that_it_lacks() -> None:
    lacking = {name for name in resource_types() if model(name) is None}
    assert lacking == {each for row in EXPLAINED["lacks"] for each in row["types"]}
