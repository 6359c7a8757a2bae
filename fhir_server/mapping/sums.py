"""Amounts that are compared account by account: which column has them, and where the resources do.

Stated in `source.yaml`; `reckoning` adds them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fhir_server.mapping import document, template
from fhir_server.mapping.document import table, text
from fhir_server.mapping.grammar import Column, Pipe
from fhir_server.mapping.problem import refuse, suggestion

PARTS = frozenset({"account", "amount", "of"})
TIMES = " * "
"""`priceOverride * quantity`: a price for one, times how many."""


@dataclass(frozen=True, slots=True)
class Sum:
    """The amounts of one table; `of` says where each output has them."""

    table: str
    account: Column
    amount: Pipe
    of: Mapping[str, tuple[str, ...]]


def read(found: document.Table, file: str, tables: Iterable[str]) -> tuple[Sum, ...]:
    """The part `sums` of a source."""
    return tuple(_sum(name, table(each, file, name), file, set(tables)) for name, each in found.entries.items())


def _sum(name: str, found: document.Table, file: str, tables: set[str]) -> Sum:
    if name not in tables:
        raise refuse(file, found.line, f"There is no table '{name}'.{suggestion(name, tables)}")
    if found.entries.keys() != PARTS:
        raise refuse(file, found.line, f"A sum has the parts {', '.join(sorted(PARTS))}.")
    amount = template.leaf(found.entries["amount"], file, "amount").pipe
    if any(step.name != "negated" for step in amount.steps):
        raise refuse(file, found.line, f"'{amount}': the amount of a sum is a column, or one with negated(…).")
    of = table(found.entries["of"], file, "of")
    return Sum(
        table=name,
        account=template.leaf(found.entries["account"], file, "account").pipe.column,
        amount=amount,
        of={output: tuple(text(each, file, output).split(TIMES)) for output, each in of.entries.items()},
    )
