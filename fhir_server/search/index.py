"""The search index of a resource: the arrays that its document is found by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from fhir_server.fhir import definitions
from fhir_server.fhir.resource import Resource
from fhir_server.search import apart, labels, registry
from fhir_server.search.blinding import Blinding
from fhir_server.search.clinical_dates import CLINICAL_DATES
from fhir_server.search.extraction import extractor
from fhir_server.search.own import ParameterSet
from fhir_server.search.registry import in_force
from fhir_server.search.term import wide
from fhir_server.search.types import date, position, reference

COMPARTMENTS = ("Patient",)
"""The compartments that documents are marked with; others can be answered from their reference parameters."""

LISTED = "item:listed"
"""The entries of a List that are in force, by which `_list` finds. https://hl7.org/fhir/R4/search.html#list"""


@dataclass(frozen=True, slots=True)
class Index:
    """Entries as the modules of `search.types` describe them; `date` is where the main date of the type starts."""

    tokens: list[str]
    strings: list[str]
    dates: list[dict[str, Any]]
    numbers: list[dict[str, Any]]
    compartments: list[str]
    date: datetime | None
    point: position.Point | None = None
    labels: tuple[str, ...] = ()
    """Security labels that hide it from some."""
    telling: list[str] | None = None
    """Of a type that is kept apart: the entries that it is found by."""

    def as_document(self) -> dict[str, Any]:
        """What has no place has no point, and what nothing hides no labels: there is no entry for them then."""
        placed = {} if self.point is None else {position.FIELD: self.point}
        labelled = {labels.FIELD: list(self.labels)} if self.labels else {}
        telling = {} if self.telling is None else {apart.FIELD: self.telling}
        return (
            placed
            | labelled
            | telling
            | {
                "tok": self.tokens,
                "str": self.strings,
                "dat": self.dates,
                "num": self.numbers,
                "cmp": self.compartments,
                "d": self.date,
            }
        )


def index(
    resource: Resource, base: str = "", added: ParameterSet | None = None, blinding: Blinding | None = None
) -> Index:
    """The index of a resource, by the parameters of R4 and those added; else as for the tenant it is made for.

    References to `base`, the server's own URL, are indexed as the local ones they are.
    """
    resource_type = resource["resourceType"]
    if added is None:
        added, blinding = in_force(), registry.blinding()
    rows = extractor(resource_type, added)(resource, f"={base.rstrip('/')}/" if base else "")
    code = CLINICAL_DATES.get(resource_type, "")
    main = [row for row in rows.dates if row["p"] in (code, wide(code))]
    marks = [date.long_mark(code)] if any(row["p"] == wide(code) for row in main) else []
    listed = _listed(resource) if resource_type == "List" else ()
    tokens = list(dict.fromkeys([*rows.tokens, *marks, *listed]))
    found = Index(
        tokens=tokens,
        strings=list(dict.fromkeys(rows.strings)),
        dates=rows.dates,
        numbers=rows.numbers,
        compartments=compartments(resource_type, resource.get("id"), tokens),
        date=min((row["s"] for row in main), default=None),
        point=rows.point,
        labels=tuple(labels.entries(resource)),
    )
    if blinding:
        found = _blinded(found, resource_type, added, blinding)
    if resource_type != apart.TYPE:
        return found
    return replace(found, telling=apart.entries(found.tokens, found.strings))


def _blinded(found: Index, resource_type: str, added: ParameterSet, blinding: Blinding) -> Index:
    """As a tenant that is encrypted stores it."""
    how = blinding.treatments(resource_type, registry.parameters(resource_type, added))
    return replace(
        found,
        tokens=list(dict.fromkeys(blinding.tokens(found.tokens, how))),
        strings=list(dict.fromkeys(blinding.strings(found.strings, how))),
        numbers=blinding.rows(found.numbers, how),
    )


def _listed(resource: Resource) -> Iterator[str]:
    """An entry that is marked as deleted was taken off the list. https://hl7.org/fhir/R4/list.html#deleted"""
    for each in resource.get("entry", ()):
        if "item" in each and not each.get("deleted"):
            yield from (f"{LISTED}{entry}" for entry in reference.INDEX["Reference"](each["item"]))


def compartments(resource_type: str, resource_id: str | None, tokens: list[str]) -> list[str]:
    """https://hl7.org/fhir/R4/compartmentdefinition.html"""
    found = [f"{resource_type}/{resource_id}"] if resource_type in COMPARTMENTS and resource_id else []
    prefixes = _compartment_prefixes(resource_type)
    if prefixes:
        found += [each.partition("=")[2] for each in tokens if each.startswith(prefixes) and "/_history/" not in each]
    return list(dict.fromkeys(found))


@cache
def _compartment_prefixes(resource_type: str) -> tuple[str, ...]:
    return tuple(
        f"{code}={name}/" for name in COMPARTMENTS for code in definitions.compartment(name).get(resource_type, ())
    )
