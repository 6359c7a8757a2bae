"""Scopes in plain words, for whoever is asked to consent.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import yaml

from fhir_server.access.scopes import Scope


def sentence(scope: Scope) -> str:
    """`See prescriptions of the chosen patient`."""
    table = _table()
    verbs = [verb for verb, letters in table["rights"].items() if set(letters) & scope.rights]
    about = _narrowed(scope) if scope.criteria else _named(scope.resource_type)
    return f"{_listed(verbs).capitalize()} {about} {table['whose'][scope.context]}"


def plain(word: str) -> str:
    """The same for a scope that is not about resources, such as `offline_access`."""
    said: str = _table()["plain"][word]
    return said[0].upper() + said[1:]


def categories(scope: Scope) -> list[tuple[str, str]]:
    """Criteria to which the scope can be narrowed, each with its label; none where it is narrow already."""
    return [] if scope.criteria else _categories(scope.resource_type)


def _categories(resource_type: str) -> list[tuple[str, str]]:
    return [(f"category={coding}", label) for coding, label in _table()["categories"].get(resource_type, [])]


def _narrowed(scope: Scope) -> str:
    """What a scope with criteria is about: a known category by its label, else the type and the criteria."""
    label = dict(_categories(scope.resource_type)).get(scope.criteria)
    said = (f"{name} is {value.rpartition('|')[2]}" for name, value in parse_qsl(scope.criteria))
    return label or f"{_named(scope.resource_type)} where {' and '.join(said)}"


def _named(resource_type: str) -> str:
    name: str | None = _table()["types"].get(resource_type)
    return name or _spelt(resource_type)


def _spelt(resource_type: str) -> str:
    """`NutritionOrder` is `nutrition order`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource_type).lower()


def _listed(verbs: list[str]) -> str:
    return verbs[0] if len(verbs) == 1 else f"{', '.join(verbs[:-1])} and {verbs[-1]}"


@cache
def _table() -> Mapping[str, Any]:
    text = files("fhir_server.access").joinpath("words.yaml").read_text(encoding="utf-8")
    listed: Mapping[str, Any] = yaml.safe_load(text)
    return listed
