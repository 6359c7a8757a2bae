"""The code systems, value sets and concept maps of the R4 package, read from `capability/` when they are asked for.

https://hl7.org/fhir/R4/terminologies.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any
from zipfile import ZipFile

import msgspec

from fhir_server.fhir import json
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology import code_system as systems
from fhir_server.fhir.terminology.code_system import CodeSystem

REMEMBERED = 32
"""Resources that a process keeps parsed; most processes are never asked for any."""


class About(msgspec.Struct, frozen=True):
    """By what a concept map is found: value sets, and code systems of its groups."""

    source: list[str]
    target: list[str]
    systems: list[str]
    targets: list[str]


def code_system(url: str, version: str | None = None) -> CodeSystem | None:
    found = _code_system(url)
    return found if found and version in (None, found.version) else None


def value_set(url: str, version: str | None = None) -> Resource | None:
    return _of_version("ValueSet", url, version)


def concept_map(url: str, version: str | None = None) -> Resource | None:
    return _of_version("ConceptMap", url, version)


@cache
def concept_maps() -> Mapping[str, About]:
    """Every concept map by URL, in order."""
    return dict(sorted(msgspec.json.decode(_member("maps.json"), type=dict[str, About]).items()))


@lru_cache(maxsize=REMEMBERED)
def _code_system(url: str) -> CodeSystem | None:
    found = _resource("CodeSystem", url)
    return systems.read(found) if found else None


def _of_version(resource_type: str, url: str, version: str | None) -> Resource | None:
    found = _resource(resource_type, url)
    return found if found and version in (None, found.get("version")) else None


@lru_cache(maxsize=REMEMBERED)
def _resource(resource_type: str, url: str) -> Resource | None:
    name = f"{resource_type} {url}"
    number = _index().get(name)
    if number is None:
        return None
    block = msgspec.json.decode(_member(f"{number}.json"), type=dict[str, msgspec.Raw])
    found: Resource = json.trusted(bytes(block[name]))
    return found


@cache
def _index() -> Mapping[str, int]:
    """In which block each resource is."""
    found: dict[str, int] = msgspec.json.decode(_member("index.json"), type=dict[str, int])
    return found


def _member(name: str) -> Any:
    with files("capability").joinpath("terminology.zip").open("rb") as file, ZipFile(file) as archive:
        return archive.read(name)
