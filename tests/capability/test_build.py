"""The committed tables are what the published package says."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

from capability import build
from capability.terminology import NotEnumerable, Terminology

BEYOND = {"operations_beyond.json", "units.json"}
"""Operations of other guides than R4 itself, and the units of UCUM."""

SYSTEM = {
    "url": "urn:s",
    "concept": [{"code": "a", "concept": [{"code": "b", "concept": [{"code": "c"}]}]}, {"code": "d"}],
}


@pytest.mark.slow
def test_the_tables_are_up_to_date(r4_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = build.HERE
    monkeypatch.setattr(build, "HERE", tmp_path)
    build.main(r4_package)
    fresh = {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("*.json")}
    kept = {str(file.relative_to(committed)): file.read_bytes() for file in committed.rglob("*.json")}
    assert fresh == {name: content for name, content in kept.items() if name not in BEYOND}
    assert members(tmp_path / "terminology.zip") == members(committed / "terminology.zip")


def members(file: Path) -> dict[str, bytes]:
    """What is in it: compressed, the same may look different from machine to machine."""
    with ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def terminology(**include: object) -> Terminology:
    return Terminology({"urn:s": SYSTEM}, {"urn:v": {"compose": {"include": [{"system": "urn:s", **include}]}}})


def codes(found: Terminology) -> list[str]:
    return sorted(code for _, code in found.expand("urn:v|1.0"))


def test_a_whole_code_system() -> None:
    assert codes(terminology()) == ["a", "b", "c", "d"]


def test_listed_concepts() -> None:
    assert codes(terminology(concept=[{"code": "a"}, {"code": "z"}])) == ["a", "z"]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("is-a", ["b", "c"]), ("descendent-of", ["c"]), ("is-not-a", ["a", "d"])],
)
def test_a_filter_by_hierarchy(operator: str, expected: list[str]) -> None:
    assert codes(terminology(filter=[{"property": "concept", "op": operator, "value": "b"}])) == expected


def test_parents_may_be_stated_as_properties() -> None:
    found = terminology(filter=[{"property": "concept", "op": "is-a", "value": "a"}])
    child = {"code": "e", "property": [{"code": "subsumedBy", "valueCode": "b"}]}
    found.code_systems["urn:s"] = {**SYSTEM, "concept": [*SYSTEM["concept"], child]}
    assert codes(found) == ["a", "b", "c", "e"]


def test_what_is_excluded() -> None:
    found = terminology()
    found.value_sets["urn:v"]["compose"]["exclude"] = [{"system": "urn:s", "concept": [{"code": "a"}]}]
    assert codes(found) == ["b", "c", "d"]


def test_value_sets_in_an_include_must_all_hold() -> None:
    found = terminology()
    found.value_sets["urn:w"] = {"compose": {"include": [{"system": "urn:s", "concept": [{"code": "a"}]}]}}
    found.value_sets["urn:v"]["compose"]["include"][0]["valueSet"] = ["urn:w"]
    assert codes(found) == ["a"]


@pytest.mark.parametrize(
    "include",
    [
        {"system": "urn:unknown"},
        {"valueSet": ["urn:unknown"]},
        {"valueSet": ["urn:v"]},
        {"filter": [{"property": "concept", "op": "regex", "value": "a"}]},
    ],
)
def test_what_cannot_be_written_out(include: dict[str, object]) -> None:
    with pytest.raises(NotEnumerable):
        codes(terminology(**include))
