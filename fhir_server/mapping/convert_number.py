"""Numbers, flags and money, never by way of binary fractions.  https://hl7.org/fhir/R4/datatypes.html#decimal"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from fhir_server.mapping.context import Context
from fhir_server.mapping.converter import ANY, FLAG, NUMBER, Converter, Words
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.text import folded, is_nothing

CENT = Decimal("0.01")
MOST = Decimal(10) ** 15
FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}


def decimal(value: Any) -> Decimal | None:
    """The number as it is written in the source."""
    if isinstance(value, str) and is_nothing(value):
        return None
    written = str(value).strip()
    try:
        found = Decimal(written)
    except InvalidOperation as fault:
        raise Fault("TYPE_INVALID", "The value is no number.") from fault
    if not found.is_finite() or abs(found) >= MOST:
        raise Fault("TYPE_INVALID", "The value is no number that can be kept.")
    return _plain(found) if "E" in written or "e" in written else found


def _plain(found: Decimal) -> Decimal:
    """Without an exponent: some drivers give 1E+2 for 100."""
    return found.quantize(Decimal(1)) if found.as_tuple().exponent > 0 else found  # type: ignore[operator]


def integer(value: Any) -> int | None:
    found = decimal(value)
    if found is None:
        return None
    if found != found.to_integral_value() or abs(found) >= 2**31:
        raise Fault("TYPE_INVALID", "The value is no whole number of 32 bits.")
    return int(found)


def positive(value: Any) -> int | None:
    """A whole number above zero."""
    found = integer(value)
    if found is not None and found < 1:
        raise Fault("TYPE_INVALID", "The value is not above zero.")
    return found


def boolean(value: Any) -> bool | None:
    word = folded(value)
    found = FLAGS.get(word)
    if found is not None:
        return found
    if is_nothing(word):
        return None
    raise Fault("TYPE_INVALID", "The value is neither true nor false.")


def is_true(value: Any) -> bool | None:
    """A test: holds where the flag is set."""
    return True if FLAGS.get(folded(value)) is True else None


def is_false(value: Any) -> bool | None:
    """A test: holds where the flag is cleared, not where nobody said."""
    return True if FLAGS.get(folded(value)) is False else None


def is_set(value: Any) -> bool | None:
    """A test: holds for a set flag, and for a date that something happened on."""
    return None if FLAGS.get(folded(value)) is False else True


def cents(value: Decimal) -> Decimal:
    return value.quantize(CENT, rounding=ROUND_HALF_EVEN)


def money(value: Any, context: Context) -> dict[str, Any] | None:
    """https://hl7.org/fhir/R4/datatypes.html#Money"""
    found = decimal(value)
    return None if found is None else {"value": cents(found), "currency": context.currency}


def negated(value: Any, other: Any, words: Words) -> Any:
    """The amount below zero where another column has one of these values: the source keeps amounts positive."""
    found = decimal(value)
    return -found if found is not None and other is not None and folded(other) in words else found


def per_unit(value: Any, units: Any) -> Decimal | None:
    """The price of one unit of a line total."""
    found, count = decimal(value), _count(units)
    return found if found is None or count <= 1 else found / count


def line_total(value: Any, units: Any) -> str | None:
    """Says the line total where the price is per unit and the total cannot be seen any more."""
    found, count = decimal(value), _count(units)
    return None if found is None or count <= 1 else f"Line total {cents(found)} for {count} units"


def _count(units: Any) -> Decimal:
    try:
        return decimal(units) or Decimal(1) if units is not None else Decimal(1)
    except Fault:
        return Decimal(1)


def units(value: Any) -> Decimal | None:
    """How many of something: one where nobody said."""
    return Decimal(1) if value is None else decimal(value)


def charge_state(posted: Any, voided: Any, claim: Any) -> str:
    """What became of a charge, as the map `pms-charge-status` names it."""
    if voided is not None:
        return "voided"
    if not is_true(posted):
        return "not_posted"
    return "posted_no_claim" if claim is None else "posted_on_a_claim"


def payment_state(posted: Any, voided: Any) -> str:
    """What became of a payment, as the map `pms-payment-status` names it."""
    if voided is not None:
        return "voided"
    return "posted" if is_true(posted) else "not_posted"


CONVERTERS = {
    "decimal": Converter(decimal, NUMBER, "decimal", fails=True, repeats=True),
    "int": Converter(integer, NUMBER, "integer", fails=True, repeats=True),
    "positive": Converter(positive, NUMBER, "positiveInt", fails=True, repeats=True),
    "bool": Converter(boolean, FLAG, "boolean", fails=True, repeats=True),
    "is_true": Converter(is_true, FLAG, "test", repeats=True),
    "is_false": Converter(is_false, FLAG, "test", repeats=True),
    "is_set": Converter(is_set, ANY, "test"),
    "money": Converter(money, NUMBER, "Money", fails=True, context=True),
    "negated": Converter(negated, NUMBER, "number", ("column", "value+"), fails=True),
    "per_unit": Converter(per_unit, NUMBER, "number", ("column",), fails=True),
    "line_total": Converter(line_total, NUMBER, "string", ("column",), fails=True),
    "units": Converter(units, NUMBER, "decimal", fails=True, none=True),
    "charge_state": Converter(charge_state, FLAG, "text", ("column", "column"), none=True, always=True),
    "payment_state": Converter(payment_state, FLAG, "text", ("column",), none=True, always=True),
}
