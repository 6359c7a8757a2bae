"""`fhir-server package …`"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.cli import archive
from fhir_server.cli.package import missing
from fhir_server.fhir.outcome import FhirError
from fhir_server.store.packages import Package
from tests.cli.conftest import Command
from tests.cli.packages import MANIFEST, PROFILE, package, packed

Answer = Callable[..., Any]


def test_a_package_from_its_file_to_its_end(answer: Answer, command: Command, tmp_path: Path) -> None:
    answer("tenant", "create", "riverside")
    file = package(tmp_path / "guide.tgz")
    first = answer("package", "add", str(file), "--tenant", "riverside")
    assert [(each["name"], each["definitions"], each["added"]) for each in first["packages"]] == [
        ("example.guide", 1, True)
    ]
    assert answer("package", "add", str(file), "--tenant", "riverside")["packages"][0]["added"] is False
    assert [each["name"] for each in answer("package", "list", "--tenant", "riverside")] == ["example.guide"]
    assert answer("package", "list") == []
    assert command("package", "remove", "example.guide#2.0", "--tenant", "riverside").exit_code == 1
    assert (
        answer("package", "remove", "example.guide#1.0.0", "--tenant", "riverside")["removed"][0]["version"] == "1.0.0"
    )
    assert answer("package", "list", "--tenant", "riverside") == []


def test_all_tenants_share_what_is_added_for_all(answer: Answer, tmp_path: Path) -> None:
    answer("tenant", "create", "lakeside")
    answer("package", "add", str(package(tmp_path / "guide.tgz")), "--all")
    assert [each["shared"] for each in answer("package", "list", "--tenant", "lakeside")] == [True]
    answer("package", "remove", "example.guide", "--all")


def test_a_person_reads_what_is_missing(command: Command, answer: Answer, tmp_path: Path) -> None:
    answer("tenant", "create", "needy")
    manifest = {**MANIFEST, "dependencies": {"hl7.fhir.r4.core": "4.0.1", "example.other": "2.0"}}
    result = command("package", "add", str(package(tmp_path / "g.tgz", manifest=manifest)), "--tenant", "needy")
    assert result.exit_code == 0
    assert "depends on example.other#2.0, which is not loaded" in " ".join(result.stderr.split())
    assert "example.guide" in result.stdout


def test_for_whom_must_be_said(command: Command, tmp_path: Path) -> None:
    file = str(package(tmp_path / "guide.tgz"))
    for words in ((), ("--all", "--tenant", "riverside")):
        assert command("package", "add", file, *words).exit_code == 2
    assert "There is no tenant" in " ".join(command("package", "add", file, "--tenant", "nobody").stderr.split())


def test_nothing_is_stored_where_one_file_is_wrong(command: Command, answer: Answer, tmp_path: Path) -> None:
    answer("tenant", "create", "careful")
    good, bad = package(tmp_path / "good.tgz"), tmp_path / "bad.tgz"
    bad.write_bytes(b"no archive")
    assert command("package", "add", str(good), str(bad), "--tenant", "careful").exit_code == 1
    assert answer("package", "list", "--tenant", "careful") == []


def member(name: str, **more: Any) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    for attribute, value in more.items():
        setattr(found, attribute, value)
    return found


WRONG = {
    "a path upwards": ({"package/../../etc/x.json": "{}"}, "outside of itself"),
    "an absolute path": ({"/etc/x.json": "{}"}, "outside of itself"),
    "a link": ({"l": member("package/x.json", type=tarfile.SYMTYPE, linkname="/etc/passwd")}, "neither a file"),
    "a device": ({"d": member("package/x.json", type=tarfile.CHRTYPE)}, "neither a file"),
    "JSON that is none": ({"package/x.json": "{"}, "package/x.json cannot be read"),
    "a key twice": ({"package/x.json": '{"url":"a","url":"b"}'}, "package/x.json cannot be read"),
    "a definition without a url": ({"package/x.json": '{"resourceType":"ValueSet"}'}, "without a url"),
    "a manifest that is none": ({"package/package.json": "[]"}, "package/package.json cannot be read"),
    "a manifest without a name": ({"package/package.json": "{}"}, "no name and version"),
    "another release": ({"package/package.json": '{"name":"n","version":"1","fhirVersions":["5.0.0"]}'}, "5.0.0"),
}


@pytest.mark.parametrize(("files", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_package_is_said(files: dict[str, Any], said: str, tmp_path: Path) -> None:
    whole = {"package/package.json": '{"name":"n","version":"1"}', **files}
    with pytest.raises(FhirError, match=said):
        archive.read(packed(tmp_path / "wrong.tgz", whole))


def test_a_package_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(FhirError, match=r"no package/package\.json"):
        archive.read(packed(tmp_path / "wrong.tgz", {"package/x.json": "{}"}))


@pytest.mark.parametrize("cut", [20, 200])
def test_a_file_that_ends_too_early(cut: int, tmp_path: Path) -> None:
    whole = package(tmp_path / "whole.tgz").read_bytes()
    broken = tmp_path / "broken.tgz"
    broken.write_bytes(whole[:cut])
    with pytest.raises(FhirError, match=r"cannot be read as a \.tgz"):
        archive.read(broken)


@pytest.mark.parametrize(
    ("limit", "most", "said"),
    [("MAX_FILES", 1, "more than"), ("MAX_BYTES", 10, "more than"), ("MAX_DEFINITION", 10, "a definition may have")],
)
def test_a_package_has_limits(
    limit: str, most: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, limit, most)
    with pytest.raises(FhirError, match=said):
        archive.read(package(tmp_path / "guide.tgz"))


def test_only_definitions_directly_in_the_package_count(tmp_path: Path) -> None:
    files = {
        "package/package.json": '{"name":"n","version":"1"}',
        "package/.index.json": "{}",
        "package/a.json": '{"resourceType":"ValueSet","url":"urn:a"}',
        "package/Patient-b.json": '{"resourceType":"Patient","id":"b"}',
        "package/example/c.json": '{"resourceType":"ValueSet","url":"urn:c"}',
        "package/d.txt": "text",
    }
    found = archive.read(packed(tmp_path / "guide.tgz", files))
    assert [each["url"] for each in found.definitions] == ["urn:a"]


@pytest.mark.parametrize(
    ("wanted", "loaded", "fits"),
    [
        ("1.0.0", ["1.0.0"], True),
        ("1.0.x", ["1.0.3"], True),
        ("latest", ["0.1"], True),
        ("1.0.0", ["2.0.0"], False),
        ("1.0.0", [], False),
    ],
)
def test_dependencies_by_version(wanted: str, loaded: list[str], fits: bool, tmp_path: Path) -> None:
    read = archive.read(package(tmp_path / "g.tgz", [PROFILE], {**MANIFEST, "dependencies": {"other": wanted}}))
    found = missing([read], [Package("other", each, "", 0) for each in loaded])
    assert (found == []) is fits
