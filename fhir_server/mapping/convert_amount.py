"""Shares, positions, and line totals that must agree.  https://hl7.org/fhir/R4/datatypes.html#decimal"""

from __future__ import annotations

from typing import Any

from fhir_server.mapping.convert_number import cents, decimal
from fhir_server.mapping.converter import NUMBER, Converter
from fhir_server.mapping.fault import Fault


def percent(value: Any) -> str | None:
    """A share in words: `80 %`, however many decimals the database keeps."""
    found = decimal(value)
    return None if found is None else f"{found.normalize():f} %"


def plus(value: int, more: str) -> int:
    """A position counted from further on."""
    return value + int(more)


def agrees(value: Any, price: Any, total: Any) -> Any:
    """A quantity, with a warning where price times quantity is not the line total."""
    found = [decimal(each) if each is not None else None for each in (value, price, total)]
    count, each, whole = found
    if count is not None and each is not None and whole is not None and cents(count * each) != cents(whole):
        raise Fault("IMPLAUSIBLE_VALUE", "The line total is not price times quantity.", kept=value)
    return value


CONVERTERS = {
    "percent": Converter(percent, NUMBER, "string", fails=True),
    "plus": Converter(plus, frozenset({"positiveInt"}), "positiveInt", ("word",)),
    "agrees": Converter(agrees, NUMBER, "number", ("column", "column"), fails=True),
}
