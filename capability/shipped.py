"""Code systems, value sets and concept maps of the package: one compressed file of blocks, read one block at a time.

https://hl7.org/fhir/R4/terminologies.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from capability.package import Definition, definitions

KEPT = """
    abstract caseSensitive code codeSystem compose concept contains content dependsOn designation display
    element equivalence exclude expansion filter group hierarchyMeaning inactive include language lockedDate
    mode name op property resourceType source sourceCanonical sourceUri sourceVersion status system target
    targetCanonical targetUri targetVersion title total type unmapped uri url use value valueSet version
"""
FACTS = frozenset(KEPT.split())
"""What is kept, wherever it stands: what says which codes there are and how they relate, no prose."""

TYPES = ("CodeSystem", "ValueSet", "ConceptMap")
INDEX, MAPS = "index.json", "maps.json"
BLOCK = 60_000
"""Characters of resources that are compressed together."""
NEVER = (1980, 1, 1, 0, 0, 0)
"""The date of every member, so that the file comes out the same each time."""


def facts(value: Any) -> Any:
    if isinstance(value, list):
        return [facts(each) for each in value]
    if isinstance(value, dict):
        return {name: facts(each) for name, each in value.items() if name in FACTS or name.startswith("value")}
    return value


def write(package: Path, file: Path) -> tuple[int, int]:
    """How many resources were written, and the size of the file."""
    found = {(each["resourceType"], each["url"]): each for each in _kept(package)}
    index: dict[str, int] = {}
    with ZipFile(file, "w") as archive:
        for number, block in enumerate(_blocks(found)):
            _write(archive, f"{number}.json", block)
            index.update(dict.fromkeys(block, number))
        _write(archive, INDEX, index)
        _write(archive, MAPS, {url: _about(each) for (kind, url), each in found.items() if kind == "ConceptMap"})
    return len(found), file.stat().st_size


def _blocks(found: dict[tuple[str, str], Definition]) -> Iterator[dict[str, Definition]]:
    block: dict[str, Definition] = {}
    size = 0
    for (resource_type, url), definition in sorted(found.items()):
        kept = facts(definition)
        block[f"{resource_type} {url}"] = kept
        size += len(json.dumps(kept))
        if size > BLOCK:
            yield block
            block, size = {}, 0
    if block:
        yield block


def _kept(package: Path) -> Iterator[Definition]:
    for resource_type in TYPES:
        yield from (each for each in definitions(package, resource_type) if "url" in each)


def _about(concept_map: Definition) -> dict[str, list[str]]:
    """By what a map is found that is not asked for by its URL."""
    groups = concept_map.get("group", ())
    return {
        "source": [concept_map[name] for name in ("sourceUri", "sourceCanonical") if name in concept_map],
        "target": [concept_map[name] for name in ("targetUri", "targetCanonical") if name in concept_map],
        "systems": sorted({each["source"] for each in groups if "source" in each}),
        "targets": sorted({each["target"] for each in groups if "target" in each}),
    }


def _write(archive: ZipFile, name: str, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    archive.writestr(ZipInfo(name, NEVER), text, ZIP_DEFLATED, 9)
