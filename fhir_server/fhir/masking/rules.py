"""The rules of masking, read from `rules.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files

import yaml

from fhir_server.fhir.definitions import Element

WALK = "walk"
_REST = re.compile(r"[A-Za-z0-9./|_\-]{0,128}\Z")
"""What may follow the beginning of a standard's URI."""


@dataclass(frozen=True, slots=True)
class Rules:
    """See the file."""

    types: Mapping[str, str]
    elements: Mapping[str, str]
    standards: tuple[str, ...]
    extensions: frozenset[str]
    restricted_zips: frozenset[str]
    oldest: Mapping[str, Decimal]
    families: tuple[str, ...]
    givens: tuple[str, ...]

    def of(self, element: Element, type_name: str) -> str:
        """What becomes of an element; one with children is walked through unless something else is said."""
        for found in (element.path, f"*.{element.name}"):
            if found in self.elements:
                return self.elements[found]
        return self.types.get(type_name, WALK)

    def is_standard(self, uri: str) -> bool:
        """Whether a URI names something of a standard."""
        return any(uri.startswith(each) and _REST.match(uri[len(each) :]) is not None for each in self.standards)


@cache
def rules() -> Rules:
    found = yaml.safe_load(files(__package__).joinpath("rules.yaml").read_text("utf-8"))
    return Rules(
        found["types"],
        found["elements"],
        tuple(found["standards"]),
        frozenset(found["extensions"]),
        frozenset(found["restricted_zips"]),
        {code: Decimal(most) for code, most in found["oldest"].items()},
        tuple(found["families"]),
        tuple(found["givens"]),
    )
