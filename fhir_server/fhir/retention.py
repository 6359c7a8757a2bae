"""How long a record is kept: rules as data, of which the longest that applies wins.

`retention.yaml` has the rules; a tenant may add some. Where anything is not known, a record is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from fhir_server.fhir.outcome import bad_value

MAJORITY = 18
"""Somebody younger at the event is a minor."""

EVENTS = ("treatment", "creation")


@dataclass(frozen=True, slots=True)
class Rule:
    """`minor_age` counts from birth, `minor_years` from the event; None where a minor has no such limit."""

    name: str
    source: str
    of_class: str
    event: Literal["treatment", "creation"]
    years: int
    minor_age: int | None = None
    minor_years: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one person's record, over all the Patients that are this person."""

    born: date | None
    """The last day on which they may have been born."""
    treated: date | None
    """The end of the last treatment."""
    changed: date
    """When anything of the record was written last."""
    ongoing: str | None = None
    """A treatment that has no end yet."""
    classes: Mapping[str, date] = field(default_factory=dict)
    """By class the creation of the latest resource that puts the record into it."""
    until: date | None = None
    """A day that the source of the record names."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Until when a record is kept, by which class and rule, and why; without a day it is kept."""

    until: date | None
    of_class: str
    rule: str
    reason: str

    def is_due(self, today: date) -> bool:
        return self.until is not None and self.until < today


@cache
def _table() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(files(__package__).joinpath("retention.yaml").read_text("utf-8"))
    return found


def treatments() -> tuple[str, ...]:
    """The types whose main date says when somebody was treated."""
    return tuple(_table()["treatment"])


def marks() -> Mapping[str, tuple[str, ...]]:
    """By class the codes that put a record into it; none for the class of every record."""
    return {name: tuple(codes) for name, codes in _table()["classes"].items()}


@cache
def shipped() -> tuple[Rule, ...]:
    return tuple(read(row) for row in _table()["rules"])


def read(row: Mapping[str, Any]) -> Rule:
    """A rule of the file, or one that a tenant has added."""
    of_class, event, minor = row["class"], row["event"], row.get("minor") or {}
    if of_class not in marks():
        raise bad_value(f"'{of_class}' is no class of record; {', '.join(marks())} are.")
    if event not in EVENTS:
        raise bad_value(f"'{event}' is nothing that years are counted from; {' and '.join(EVENTS)} are.")
    numbers = [row["years"], *minor.values()]
    if not all(type(each) is int and 0 <= each <= 200 for each in numbers):
        raise bad_value(f"{numbers} must be whole numbers from 0 to 200.")
    return Rule(row["name"], row["source"], of_class, event, row["years"], minor.get("age"), minor.get("years"))


def kept(facts: Facts, rules: Iterable[Rule]) -> Kept:
    """The longest of all rules that apply, and of what the source of the record says."""
    if facts.born is None:
        return Kept(None, "record", "", "the date of birth is not known")
    if facts.ongoing:
        return Kept(None, "record", "", f"{facts.ongoing} has no end: a treatment that goes on")
    found = [each for rule in rules for each in _applied(rule, facts, facts.born)]
    if facts.until:
        found.append(Kept(facts.until, "record", "source", "the source of the record keeps it so long"))
    return max(found, key=lambda each: each.until or date.max)


def longest(facts: Sequence[Facts], rules: Sequence[Rule], until: date | None = None) -> Kept:
    """Of Patients that are one person: what holds for one of them, and for all of them together."""
    every = [merged(facts), *facts] if len(facts) > 1 else facts
    return max((kept(replace(each, until=until), rules) for each in every), key=lambda each: each.until or date.max)


def _applied(rule: Rule, facts: Facts, born: date) -> Iterator[Kept]:
    """What a rule says of a record; nothing where the record is not of its class."""
    since = facts.classes.get(rule.of_class) if rule.event == "creation" else facts.treated or facts.changed
    if since is None or (rule.of_class != "record" and rule.of_class not in facts.classes):
        return
    event = {"creation": "creation", "treatment": "the last treatment"}[rule.event]
    if rule.event == "treatment" and facts.treated is None:
        event = "the last change, as no treatment is on record,"
    yield _kept(rule, after(since, rule.years), f"{rule.years} years after {event} on {since}")
    if after(born, MAJORITY) <= since:
        return
    if rule.minor_years is not None:
        why = f"{rule.minor_years} years after {event} on {since}, as a minor"
        yield _kept(rule, after(since, rule.minor_years), why)
    if rule.minor_age is not None:
        yield _kept(rule, after(born, rule.minor_age), f"the age of {rule.minor_age}, treated as a minor")


def _kept(rule: Rule, until: date, reason: str) -> Kept:
    return Kept(until, rule.of_class, rule.name, reason)


def after(day: date, years: int) -> date:
    """The same day some years later; where there is no 29 February it is the day after the 28th."""
    if day.year + years > date.max.year:
        return date.max
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def merged(facts: Sequence[Facts]) -> Facts:
    """Of Patients that are one person: the later of everything, and unknown where it is unknown of one of them."""
    classes: dict[str, date] = {}
    for each in facts:
        for name, day in each.classes.items():
            classes[name] = max(day, classes.get(name, day))
    born = [each.born for each in facts if each.born]
    return Facts(
        max(born) if len(born) == len(facts) else None,
        max((each.treated for each in facts if each.treated), default=None),
        max(each.changed for each in facts),
        next((each.ongoing for each in facts if each.ongoing), None),
        classes,
    )
