"""What the documents say is true: settings, dependencies, rooms, commands, links, pages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from typer.main import get_command

from fhir_server.cli.program import COMMANDS, app
from fhir_server.mapping import declaration
from fhir_server.mapping.convert import CONVERTERS
from fhir_server.mapping.fault import CODES
from fhir_server.mapping.model import TYPES
from fhir_server.mapping.outcome import STATUSES
from fhir_server.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
COMMAND = re.compile(r"fhir-server((?: [a-z]+(?:-[a-z]+)*)+)([^`|\n]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
LICENCES = {
    "ISC License": "ISC",
    "Apache": "Apache-2.0",
    "BSD license": "BSD-3-Clause",
    "MIT License": "MIT",
    "MIT license": "MIT",
}
"""What older packages call the licences that SPDX names."""


def rows(heading: str, columns: int) -> list[tuple[str, ...]]:
    """The rows of the tables of a section of the README that have so many columns, without code quotes."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = [tuple(each.strip().strip("`") for each in line.strip("|").split("|")) for line in section.splitlines()]
    return [row for row in found if len(row) == columns and not row[0].startswith("---")][1:]


def shown(value: Any) -> str:
    """A default as the table writes it."""
    if value in (None, "", frozenset()):
        return "–"
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_the_table_of_settings_is_complete() -> None:
    expected = [
        (f"FHIR_{name.upper()}", shown(field.default), field.description)
        for name, field in Settings.model_fields.items()
    ]
    assert all(description for _, _, description in expected)
    assert rows("Settings", 3) == expected


def declared() -> set[tuple[str, str]]:
    groups = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    return {(extra, Requirement(each).name) for extra, listed in groups.items() for each in listed}


def test_the_tables_of_dependencies_are_those_of_the_project() -> None:
    written = [("", row[0]) for row in rows("Dependencies", 3)] + [row[:2] for row in rows("Dependencies", 4)]
    assert sorted(written) == sorted((extra, name) for extra, name in declared())


def test_licences_are_those_of_the_packages() -> None:
    table = [(row[-3], row[-1]) for columns in (3, 4) for row in rows("Dependencies", columns)]
    for package, licence in table:
        said = _licence(package)
        assert said is None or all(word in licence for word in re.split(r" OR | AND ", said)), (package, said)


def _licence(package: str) -> str | None:
    """As the installed package says it; None where it is not installed or says nothing."""
    try:
        found = metadata(package)
    except PackageNotFoundError:
        return None
    said = next((found[name] for name in ("License-Expression", "License") if name in found), "").partition("\n")[0]
    return LICENCES.get(said, said.replace("BSD 2-Clause License", "BSD-2-Clause")) or None


def test_the_table_of_rooms_names_every_folder() -> None:
    written = {row[0].rstrip("/") for row in rows("Layout", 2)}
    packages = {f"fhir_server/{each.parent.name}" for each in (ROOT / "fhir_server").glob("*/__init__.py")}
    assert packages <= written
    assert {each for each in written if not (ROOT / each).is_dir()} == set()
    assert {"fhir_server", "capability", "mappings", "seed", "tests", "bench", "docs"} <= written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_navigation() -> None:
    listed = set(_leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]}


def _leaves(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for each in node.values() if isinstance(node, dict) else node:
            yield from _leaves(each)


def written_commands() -> list[tuple[str, str, str]]:
    """Each command that a page names: page, words, the rest of its line."""
    return [
        (page.name, found[1].strip(), found[2])
        for page in PAGES
        for found in COMMAND.finditer(page.read_text())
        if found[1].split()[0] not in ("is", "at", "on")
    ]


@pytest.mark.parametrize(("page", "words", "rest"), written_commands(), ids=lambda each: each[:40])
def test_commands_exist(page: str, words: str, rest: str) -> None:
    name, *more = words.split()
    assert name in COMMANDS, f"{page} names the command {name}"
    group: Any = get_command(app)
    command: Any = group.resolve_command(typer.Context(group), [name])[1]
    while hasattr(command, "commands") and more:
        assert more[0] in command.commands, f"{page} names the command {name} {more[0]}"
        command, *more = command.commands[more[0]], *more[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert set(OPTION.findall(rest)) <= known, f"{page} gives {words} an option it does not have"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"\bmake ([a-z]+)\b(?!\n)", "\n".join(_code(page.read_text())))) <= targets, page.name


def _code(text: str) -> list[str]:
    return re.findall(r"`{3}.*?`{3}|`[^`]+`", text, re.DOTALL)


MAPPINGS = (ROOT / "docs/mappings.md").read_text() + (ROOT / "docs/migrating.md").read_text()


def test_the_table_of_converters_is_the_set_of_converters() -> None:
    expected = {
        f"{name}({', '.join(found.args)})" if found.args else name: found.gives for name, found in CONVERTERS.items()
    }
    written = re.findall(r"^\| `(.+?)` \| (\S+) \| \S.* \|$", MAPPINGS.split("## Converters")[1], re.MULTILINE)
    assert dict(row for row in written if row[0].partition("(")[0] in CONVERTERS) == expected


def test_the_excerpts_of_declarations_are_real() -> None:
    declared = "".join(each.read_text() for each in (ROOT / "mappings").rglob("*.yaml"))
    excerpts = re.findall(r"```yaml\n(.*?)```", MAPPINGS, re.DOTALL)
    assert excerpts
    assert [each for each in excerpts if each not in declared] == []


def test_parts_statuses_and_codes_are_all_explained() -> None:
    named = set(re.findall(r"`(\w+)`", MAPPINGS))
    assert (declaration.PARTS | CODES | set(STATUSES)) - named == set()
    assert TYPES in [set(each.split()) for each in re.findall(r"`([a-z ]+)`", MAPPINGS)]
