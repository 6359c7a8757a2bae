"""The dates of care: when what a resource tells about took place, and whether that is within a range."""

from __future__ import annotations

from datetime import datetime

from fhir_server.search.clinical_dates import CLINICAL_DATES
from fhir_server.search.term import Filter, any_of, none_of, present_row, row, wide
from fhir_server.search.types.date import ALWAYS, FOREVER

_NO_CARE = frozenset({"birthdate"})
"""A main date that orders people, and is not one of care."""


def during(low: datetime | None, high: datetime | None) -> Filter:
    """Resources whose main date reaches into [low, high), and those that have none: they may be about any time."""
    types_of: dict[str, list[str]] = {}
    for resource_type, code in CLINICAL_DATES.items():
        if code not in _NO_CARE:
            types_of.setdefault(code, []).append(resource_type)
    dated = [each for types in types_of.values() for each in types]
    branches = [{"rt": {"$in": types}, **reaching(code, low, high)} for code, types in types_of.items()]
    return any_of([*branches, {"rt": {"$nin": dated}}])


def reaching(code: str, low: datetime | None, high: datetime | None) -> Filter:
    """Resources with a date of this parameter in the range, or with none at all."""
    within = row("dat", [code, wide(code)], {"s": {"$lt": high or FOREVER}, "e": {"$gt": low or ALWAYS}})
    return any_of([within, none_of(present_row("dat", code))])
