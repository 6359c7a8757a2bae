"""Code systems in files: FHIR JSON, or tables with the columns code, display and parent.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fhir_server.fhir import json, validate
from fhir_server.fhir.outcome import bad_value, error
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology import code_system
from fhir_server.fhir.terminology.code_system import WHOLE, CodeSystem, Concept

COLUMNS = ("code", "display", "parent")
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
"""By the ending of a table; RF2 files are tables separated by tabulators."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a table itself does not say about its code system."""

    url: str | None = None
    version: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A code system with its concepts, their ancestors computed; `head` is the resource without them."""

    head: Resource
    concepts: tuple[Concept, ...]
    raw: bytes


def read(path: Path, described: Described) -> Source:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    ending = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    resource = _table(path, raw, SEPARATORS[ending], described) if ending in SEPARATORS else _resource(path, raw)
    system = code_system.read(resource)
    if not system.concepts:
        raise error("required", f"{path} has no concepts.")
    head = {name: value for name, value in resource.items() if name not in ("concept", "content", "count")}
    concepts = tuple(replace(each, ancestors=system.ancestors(each.code)) for each in system.concepts.values())
    _check(path, system)
    return Source({**head, "content": resource["content"]}, concepts, raw)


def _check(path: Path, system: CodeSystem) -> None:
    """Every parent has to be there: without it a hierarchy would answer wrongly."""
    for concept in system.concepts.values():
        for parent in concept.parents:
            if parent not in system.concepts:
                raise bad_value(f"{path}: the code '{concept.code}' has the parent '{parent}', which is not there.")


def _resource(path: Path, raw: bytes) -> Resource:
    resource = json.parse(raw)
    if resource.get("resourceType") != "CodeSystem":
        raise bad_value(f"{path} holds a {resource.get('resourceType')}; a CodeSystem, .csv or .tsv is expected.")
    validate.check(resource)
    if "url" not in resource:
        raise error("required", f"{path} has no url, by which its codes would be found.")
    return resource


def _table(path: Path, raw: bytes, separator: str, described: Described) -> Resource:
    """A concept with several parents has a line for each of them."""
    if described.url is None:
        raise error("required", f"Which code system is {path}? Name it with --system URL.")
    reader = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""), delimiter=separator)
    named = reader.fieldnames or ()
    if "code" not in named or not set(COLUMNS).issuperset(named):
        found = ", ".join(named) or "nothing"
        raise bad_value(f"The first line of {path} names the columns code, display and parent, not {found}.")
    concepts: dict[str, Resource] = {}
    for row in reader:
        _add(concepts, row, f"{path}:{reader.line_num}")
    resource: Resource = {
        "resourceType": "CodeSystem",
        "url": described.url,
        **({"version": described.version} if described.version else {}),
        "name": described.name or path.name.partition(".")[0],
        "status": "active",
        "content": WHOLE,
        "concept": list(concepts.values()),
    }
    return resource


def _add(concepts: dict[str, Resource], row: Mapping[str, str | None], place: str) -> None:
    code, display, parent = ((row.get(name) or "").strip() for name in COLUMNS)
    if not code:
        raise error("required", f"{place} has no code.")
    known = concepts.get(code)
    if known is not None and known.get("display", "") != display:
        raise bad_value(f"{place}: the code '{code}' stands twice, with different displays.")
    concept = concepts.setdefault(code, {"code": code, **({"display": display} if display else {})})
    if parent:
        concept.setdefault("property", []).append({"code": "parent", "valueCode": parent})
