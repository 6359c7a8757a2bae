"""Code tables of `mappings/maps/`, shaped like ConceptMap: source values, target, equivalence.  https://hl7.org/fhir/R4/conceptmap.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping import document, systems
from fhir_server.mapping.document import Node, Table, plain, table
from fhir_server.mapping.fault import ERROR, WARNING, Fault
from fhir_server.mapping.problem import MappingError, refuse, suggestion
from fhir_server.mapping.systems import Systems, UnknownSystem
from fhir_server.mapping.text import folded, is_nothing

EQUIVALENCES = frozenset(
    [
        "relatedto",
        "equivalent",
        "equal",
        "wider",
        "subsumes",
        "narrower",
        "specializes",
        "inexact",
        "unmatched",
        "disjoint",
    ]
)
"""https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html"""
PARTS = frozenset({"title", "targets", "rows", "other", "null"})
ROW = frozenset({"source", "target", "equivalence", "comment"})
MOST_KEPT = 4096
SAME = "*"
"""A target that ends in `|*` keeps the source code, in that system."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a value becomes: a bare code or true/false, a Coding, or nothing (unmatched)."""

    code: str | bool | None
    coding: Mapping[str, str] | None
    equivalence: str
    line: int

    def of(self, value: str) -> Target:
        """This target for one source value: a `*` takes its code."""
        if self.coding and self.coding["code"] == SAME:
            return Target(value, {**self.coding, "code": value}, self.equivalence, self.line)
        return self


@dataclass(frozen=True, slots=True)
class ConceptMap:
    name: str
    file: str
    title: str
    targets: tuple[str, ...]
    """The elements that it is made for."""
    rows: Mapping[str, Target]
    other: Target | None
    null: Target | None
    local: str
    """Code system of the source values."""

    def every_target(self) -> Iterator[Target]:
        yield from self.rows.values()
        yield from (each for each in (self.other, self.null) if each)

    def target(self, value: Any) -> Target | None:
        """The line for a value; None where the map has none."""
        key = folded(value)
        found = self.rows.get(key)
        if found is None and self.null and isinstance(value, str) and is_nothing(value):
            return self.null
        found = found or self.other
        return found.of(key) if found else None


def read(raw: str, file: str, name: str, known: Systems) -> ConceptMap:
    found = document.read(raw, file)
    for part in found.entries:
        if part not in PARTS:
            raise refuse(file, found.lines[part], f"'{part}' is no part of a map.{suggestion(part, PARTS)}")
    parts = found.entries
    rows = document.sequence(parts.get("rows", document.Sequence((), found.line)), file, "rows")
    return ConceptMap(
        name=name,
        file=file,
        title=document.text(parts["title"], file, "title") if "title" in parts else name,
        targets=document.texts(parts["targets"], file, "targets") if "targets" in parts else (),
        rows=dict(_rows(rows, file, known)),
        other=_target(table(parts["other"], file, "other"), file, known) if "other" in parts else None,
        null=_target(table(parts["null"], file, "null"), file, known) if "null" in parts else None,
        local=systems.local(name, known),
    )


def _rows(rows: document.Sequence, file: str, known: Systems) -> Iterator[tuple[str, Target]]:
    seen: dict[str, int] = {}
    for row in rows:
        found = table(row, file, "A row")
        target = _target(found, file, known)
        if "source" not in found.entries:
            raise refuse(file, found.line, "A row lists its source values under 'source'.")
        for value in _sources(found.entries["source"]):
            if value in seen:
                raise refuse(file, found.line, f"The source value '{value}' stands twice, first in line {seen[value]}.")
            seen[value] = found.line
            yield value, target


def _sources(found: Node) -> Iterator[str]:
    value = plain(found)
    for each in value if isinstance(value, list) else [value]:
        yield folded(each)


def _target(row: Table, file: str, known: Systems) -> Target:
    for part in row.entries:
        if part not in ROW:
            raise refuse(file, row.lines[part], f"'{part}' is no part of a row.{suggestion(part, ROW)}")
    equivalence = plain(row.entries["equivalence"]) if "equivalence" in row.entries else "equivalent"
    if equivalence not in EQUIVALENCES:
        raise refuse(file, row.line, f"'{equivalence}' is no equivalence.{suggestion(str(equivalence), EQUIVALENCES)}")
    written = plain(row.entries["target"]) if "target" in row.entries else None
    if (written is None) != (equivalence == "unmatched"):
        raise refuse(file, row.line, "A row has a target, or the equivalence 'unmatched' and none.")
    if isinstance(written, str) and "|" in written:
        return Target(written.split("|")[1], _coding(written, row, file, known), equivalence, row.line)
    return Target(
        written if isinstance(written, bool) or written is None else str(written), None, equivalence, row.line
    )


def _coding(written: str, row: Table, file: str, known: Systems) -> Mapping[str, str]:
    try:
        return systems.coding(written, known)
    except UnknownSystem as fault:
        raise refuse(file, row.line, str(fault)) from fault


class Translation(dict[Any, Any]):
    """A map at work for one kind of element: `code`, `boolean`, `Coding` or `CodeableConcept`.

    Its items are what it has translated before: text, since equal numbers and flags may be written differently.
    """

    def __init__(self, concept_map: ConceptMap, fhir_type: str, *, required: bool):
        self.map, self.required = concept_map, required
        self.shape = SHAPES[fhir_type]

    def __missing__(self, value: Any) -> Any:
        """The target of a value; a value that the map does not know is a fault, never passed through as a code."""
        if value is None:
            return self.shape(self.map.null, self.map, None) if self.map.null else None
        found, known = self._translate(value)
        if known:
            if value.__class__ is str and len(self) < MOST_KEPT:
                self[value] = found
            return found
        message = f"The map '{self.map.name}' has no line for this value."
        if self.required:
            raise Fault("UNMAPPED_CODE", message, severity=ERROR)
        raise Fault("UNMAPPED_CODE", message, kept=found, severity=WARNING)

    def _translate(self, value: Any) -> tuple[Any, bool]:
        target = self.map.target(value)
        if target is None and isinstance(value, str) and is_nothing(value):
            return None, True
        return self.shape(target, self.map, value), target is not None


def _code(target: Target | None, _: ConceptMap, __: Any) -> Any:
    return target.code if target else None


def _as_coding(target: Target | None, _: ConceptMap, __: Any) -> Any:
    return target.coding if target else None


def _concept(target: Target | None, concept_map: ConceptMap, value: Any) -> Any:
    """The target, and the source value as a second coding and as text."""
    if value is None:
        return {"coding": [target.coding]} if target and target.coding else None
    text = folded(value) if isinstance(value, bool) else str(value)
    if target and not target.coding:
        return {"text": text}
    source = {"system": concept_map.local, "code": folded(value)}
    if target is None:
        return {"coding": [source], "text": text}
    own = target.coding["system"] == concept_map.local if target.coding else False
    return {"coding": [target.coding] if own else [target.coding, source], "text": text}


def _whole(target: Target | None, _: ConceptMap, __: Any) -> Any:
    return int(str(target.code)) if target else None


SHAPES = {
    "code": _code,
    "positiveInt": _whole,
    "boolean": _code,
    "string": _code,
    "Coding": _as_coding,
    "CodeableConcept": _concept,
}

__all__ = ["ConceptMap", "MappingError", "Target", "Translation", "read"]
