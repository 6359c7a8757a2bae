"""Conformance tables: what is given, what is asked, what is to be answered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
READS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Table:
    """One YAML file; `given` and `other` are the resources of the tenant and of its neighbour."""

    name: str
    spec: str
    given: list[dict[str, Any]]
    other: list[dict[str, Any]]
    after: list[str]
    canary: str | None
    settings: dict[str, Any]
    guards: list[str]
    """What the tenant is known to have from its start: of security labels and consents that forbid."""
    mapped: list[dict[str, Any]]
    """What mappings have written of `given`: the state of each, and what its mapping says about its elements."""


@dataclass(frozen=True)
class Case:
    table: Table
    row: dict[str, Any]

    @property
    def title(self) -> str:
        return f"{self.table.name}: {self.row['title']}"

    @property
    def method(self) -> str:
        return str(self.row["request"].partition(" ")[0])

    @property
    def url(self) -> str:
        return str(self.row["request"].partition(" ")[2])

    @property
    def changes_nothing(self) -> bool:
        """Cases that only read share a tenant; every other case has its own."""
        return all(step["request"].startswith(READS) for step in (self.row, *self.row.get("then", ())))

    @property
    def fits_in_a_batch(self) -> bool:
        """Not what is about HTTP itself, and no Bundle, which cannot be an entry."""
        return "http" not in self.row and bool(self.url) and "raw" not in self.row and "form" not in self.row


@cache
def cases() -> list[Case]:
    return [case for file in sorted(FOLDER.glob("*.yaml")) for case in of_file(file)]


def of_file(file: Path) -> list[Case]:
    read = yaml.safe_load(file.read_text())
    table = Table(
        file.stem,
        read["spec"],
        read.get("given", []),
        read.get("other", []),
        read.get("after", []),
        read.get("canary"),
        read.get("settings", {}),
        read.get("guards", []),
        read.get("mapped", []),
    )
    return [Case(table, row) for row in read["cases"]]
