"""Amounts added up account by account: what the source says, and what the resources say that it became.

Decimals are exact on both sides. Where a price is kept for one unit, the cents that the division has cost are told
apart from what cannot be explained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_server.fhir.resource import Resource
from fhir_server.mapping.convert_number import decimal, negated
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.grammar import Column
from fhir_server.mapping.identity import key_text
from fhir_server.mapping.model import TableMapping
from fhir_server.mapping.outcome import DELETED, QUARANTINED, SKIPPED
from fhir_server.mapping.source import Row
from fhir_server.mapping.sums import Sum
from fhir_server.mapping.text import folded

HALF_CENT = Decimal("0.005")
NOBODY = "–"
"""The account of an amount that has none."""
UNREADABLE, NEVER_READ = "unreadable", "never read"
ZERO = Decimal(0)


@dataclass(slots=True)
class Account:
    source: Decimal = ZERO
    fhir: Decimal = ZERO
    rounding: Decimal = ZERO
    """Cents that a price for one unit has cost."""
    rows: int = 0

    @property
    def unexplained(self) -> Decimal:
        return self.source - self.fhir - self.rounding


@dataclass(slots=True)
class Compared:
    """One output of a table, by account."""

    table: str
    output: str
    accounts: dict[str, Account] = field(default_factory=dict)

    def total(self) -> Account:
        every = self.accounts.values()
        return Account(
            sum((each.source for each in every), ZERO),
            sum((each.fhir for each in every), ZERO),
            sum((each.rounding for each in every), ZERO),
            sum(each.rows for each in every),
        )

    def differing(self) -> dict[str, Account]:
        return {name: each for name, each in sorted(self.accounts.items()) if each.unexplained}


@dataclass(slots=True)
class Reckoning:
    """The amounts of one table: by output, and those of rows that are not stored, by the reason."""

    of: Sum
    mapping: TableMapping
    outputs: dict[str, Compared] = field(default_factory=dict)
    left_out: dict[str, Decimal] = field(default_factory=dict)
    left_out_rows: Counter[str] = field(default_factory=Counter)
    all: Decimal = ZERO

    def add(
        self, row: Row, related: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]], stored: dict[str, Resource]
    ) -> None:
        """One row, with its states by output and its resources by id."""
        try:
            amount = self._amount(row)
        except Fault:
            self.left_out_rows[UNREADABLE] += 1
            return
        if amount is None:
            return
        self.all += amount
        living = [(name, states[name]) for name in self.of.of if _is_living(states.get(name))]
        quarantined = any(each["status"] == QUARANTINED for each in states.values())
        if quarantined or not living:
            reason = QUARANTINED if quarantined else self._reason(states)
            self.left_out[reason] = self.left_out.get(reason, ZERO) + amount
            self.left_out_rows[reason] += 1
            return
        for name, state in living:
            self._compare(name, self._account(row, related), amount, stored.get(state["resource_id"]))

    def _compare(self, output: str, account: str, amount: Decimal, resource: Resource | None) -> None:
        compared = self.outputs.setdefault(output, Compared(self.of.table, output))
        found = compared.accounts.setdefault(account, Account())
        value, count = (None, Decimal(1)) if resource is None else _value(resource, self.of.of[output])
        found.rows += 1
        found.source += amount
        found.fhir += value or ZERO
        difference = amount - (value or ZERO)
        if value is not None and abs(difference) <= HALF_CENT * abs(count):
            found.rounding += difference

    def _amount(self, row: Row) -> Decimal | None:
        found = self._column(row, self.of.amount.column.name)
        if found is None:
            return None
        value: Decimal | None = decimal(found)
        for step in self.of.amount.steps:
            other, *words = step.args
            assert isinstance(other, Column)
            value = negated(value, self._column(row, other.name), tuple(folded(each) for each in words))
        return value

    def _account(self, row: Row, related: Mapping[str, Any]) -> str:
        column = self.of.account
        beside = related.get(column.name) or {}
        value = beside.get(column.field) if column.field else self._column(row, column.name)
        return NOBODY if value is None else key_text(value)

    def _column(self, row: Row, name: str) -> Any:
        return row[list(self.mapping.columns).index(name)]

    def _reason(self, states: Mapping[str, Mapping[str, Any]]) -> str:
        if not states:
            return NEVER_READ
        return DELETED if any(each["status"] == DELETED for each in states.values()) else SKIPPED


def _is_living(state: Mapping[str, Any] | None) -> bool:
    return bool(state and state.get("resource_id") and state["status"] != DELETED)


def _value(resource: Resource, paths: tuple[str, ...]) -> tuple[Decimal | None, Decimal]:
    """The amount that a resource says, and how many units it was divided by."""
    value, *counts = [_number(resource, path.split(".")) for path in paths]
    count = Decimal(1)
    for each in counts:
        # A whole number as one: 2.00 units at 3.50 are 7.00, not 7.0000.
        count *= Decimal(1) if each is None else Decimal(int(each)) if each == int(each) else each
    return (None if value is None else value * count), count


def _number(found: Any, path: list[str]) -> Decimal | None:
    """The first number at a path: of Money and Quantity their value."""
    for each in _walked(found, [*path, "value"]):
        return Decimal(each)
    return None


def _walked(found: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(found, list):
        for each in found:
            yield from _walked(each, path)
    elif not path:
        yield found
    elif isinstance(found, dict) and path[0] in found:
        yield from _walked(found[path[0]], path[1:])
