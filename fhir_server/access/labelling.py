"""Security labels that the server gives by rules, for tenants that want it: added to what is there, never instead.

https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from fhir_server.fhir.resource import Resource
from fhir_server.search import labels


def labelled(resource: Resource, tokens: Iterable[str]) -> Resource:
    """The resource with the labels that its codes ask for; the same one where it has them."""
    missing = lacking(labels.entries(resource), assigned(tokens))
    if not missing:
        return resource
    meta = resource.get("meta", {})
    return {**resource, "meta": {**meta, "security": [*meta.get("security", ()), *map(labels.coding, missing)]}}


def assigned(tokens: Iterable[str]) -> list[str]:
    """The labels of all codes that a resource is indexed by, confidentialities among them."""
    exact, starting = _rules()
    found: dict[str, None] = {}
    for token in tokens:
        coded = token.partition("=")[2]
        for label in exact.get(coded, ()):
            found[label] = None
        system, _, code = coded.partition("|")
        for start, given in starting.get(system, ()):
            if code.startswith(start):
                found.update(dict.fromkeys(given))
    return list(found)


def lacking(present: list[str], wanted: list[str]) -> list[str]:
    """Sensitivities that are not there; a confidentiality that is not reached."""
    return [each for each in wanted if each not in present and labels.higher(present, each)]


@cache
def _rules() -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, list[tuple[str, tuple[str, ...]]]]]:
    """By code, and by system the first characters of codes."""
    text = files("fhir_server.access").joinpath("labelling.yaml").read_text(encoding="utf-8")
    listed: Mapping[str, Any] = yaml.safe_load(text)
    exact: dict[str, tuple[str, ...]] = {}
    starting: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for rule in listed["rules"]:
        given = (rule["level"], rule["label"])
        for name, codes in rule.get("codes", {}).items():
            exact.update({f"{listed['systems'][name]}|{code}": given for code in codes})
        for name, starts in rule.get("starts", {}).items():
            starting.setdefault(listed["systems"][name], []).extend((start, given) for start in starts)
    return exact, starting
