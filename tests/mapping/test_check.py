"""The checks before a row is read: the real declarations hold, and every slip in them is found."""

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from fhir_server.fhir.definitions import resource_types, structure
from fhir_server.mapping import catalogue, check, document
from fhir_server.mapping.declaration import STEERING
from fhir_server.mapping.problem import MappingError, Problem

MUTATIONS = document.read("cases:\n" + Path(__file__).with_name("mutations.yaml").read_text(), "mutations.yaml")
CASES: list[dict[str, Any]] = document.plain(MUTATIONS.entries["cases"])


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("mappings") / "mappings"
    shutil.copytree(str(files("mappings")), copy)
    return copy


def problems(root: Path) -> list[Problem]:
    try:
        return check.problems(catalogue.load("pms", root=root))
    except MappingError as refused:
        return list(refused.problems)


@pytest.mark.parametrize("source", catalogue.sources())
def test_the_declarations_of_the_package_hold(source: str) -> None:
    found = check.proven(catalogue.load(source))
    assert [str(each) for each in found if each.severity == "error"] == []


@pytest.mark.parametrize("case", CASES, ids=[f"{each['file']}: {each['says'][:50]}" for each in CASES])
def test_a_slip_is_found_with_its_file_and_line(case: dict[str, Any], originals: Path) -> None:
    path = originals / case["file"]
    text = path.read_text()
    assert case["text"] in text
    try:
        path.write_text(text.replace(case["text"], case["becomes"], 1))
        found = problems(originals)
    finally:
        path.write_text(text)
    wanted = case.get("severity", "error")
    matching = [each for each in found if case["says"] in each.message and each.severity == wanted]
    assert matching, "\n".join(map(str, found))
    assert all(each.line >= 1 for each in matching)


def test_a_problem_names_the_line_of_the_slip(originals: Path) -> None:
    path = originals / "pms/clients.yaml"
    text = path.read_text()
    line = text[: text.index("birthDate:")].count("\n") + 1
    try:
        path.write_text(text.replace("birthDate:", "birthday:"))
        assert [each.line for each in problems(originals) if "birthday" in each.message] == [line]
    finally:
        path.write_text(text)


def test_an_unknown_source_is_refused_by_name() -> None:
    with pytest.raises(MappingError, match="There is no source 'pmx'"):
        catalogue.load("pmx")


def test_no_resource_has_an_element_that_steers() -> None:
    """`when`, `each`, … are ours: an element of the same name could not be written."""
    names = {element.name for each in resource_types() for element in structure(each).elements.get(each, ())} - {"meta"}
    assert not names & (STEERING - {"resourceType", "meta"})
