"""Amounts are added up exactly, cents of divisions apart, and each amount of the source is somewhere."""

from decimal import Decimal
from typing import Any

import pytest

from fhir_server.mapping import catalogue, document, sums
from fhir_server.mapping.problem import MappingError
from fhir_server.mapping.reckoning import NEVER_READ, UNREADABLE, Reckoning
from fhir_server.mapping.reconciliation import money

LEDGER = catalogue.load("pms").tables["ledger"]
SUM = catalogue.load("pms").sums[0]
MAPPED = {"status": "mapped", "resource_id": "r"}


def row(**given: Any) -> tuple[Any, ...]:
    return tuple({"id": 1, "client_id": 7, "transaction_type": "charge", **given}.get(name) for name in LEDGER.columns)


def reckoned(given: dict[str, Any], states: dict[str, Any], resource: dict[str, Any] | None = None) -> Reckoning:
    found = Reckoning(SUM, LEDGER)
    found.add(row(**given), {}, states, {"r": resource} if resource else {})
    return found


@pytest.mark.parametrize(
    ("amount", "price", "units", "fhir", "rounding", "unexplained"),
    [
        (Decimal("125.50"), "125.50", None, "125.50", "0.00", "0.00"),
        (125.5, "125.50", "1", "125.50", "0.00", "0.00"),
        ("100", "33.33", "3", "99.99", "0.01", "0.00"),
        ("100", "33.34", "3", "100.02", "0.00", "-0.02"),
        ("100", "10.00", "1", "10.00", "0.00", "90.00"),
        ("0.125", "0.12", None, "0.12", "0.005", "0.000"),
    ],
)
def test_a_charge_is_compared(
    amount: Any, price: str, units: str | None, fhir: str, rounding: str, unexplained: str
) -> None:
    resource: dict[str, Any] = {"priceOverride": {"value": Decimal(price), "currency": "USD"}}
    if units:
        resource["quantity"] = {"value": Decimal(units)}
    found = reckoned({"amount": amount}, {"ChargeItem": MAPPED}, resource)
    account = found.outputs["ChargeItem"].accounts["7"]
    assert [money(each) for each in (account.fhir, account.rounding)] == [fhir, rounding]
    assert account.unexplained == Decimal(unexplained)
    assert found.all == account.source == Decimal(str(amount))


def test_a_refund_is_below_zero_on_both_sides() -> None:
    given = {"amount": "20.00", "transaction_type": "refund"}
    found = reckoned(given, {"PaymentReconciliation": MAPPED}, {"paymentAmount": {"value": Decimal("-20.00")}})
    account = found.outputs["PaymentReconciliation"].accounts["7"]
    assert (account.source, account.unexplained) == (Decimal("-20.00"), 0)


def test_a_resource_that_is_gone_leaves_its_amount_unexplained() -> None:
    found = reckoned({"amount": "20"}, {"ChargeItem": MAPPED})
    assert found.outputs["ChargeItem"].differing()["7"].unexplained == 20


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({}, NEVER_READ),
        ({"*": {"status": "skipped"}}, "skipped"),
        ({"*": {"status": "quarantined"}, "ChargeItem": MAPPED}, "quarantined"),
        ({"ChargeItem": {"status": "deleted", "resource_id": "r"}}, "deleted"),
    ],
)
def test_what_is_not_stored_has_its_reason(states: dict[str, Any], reason: str) -> None:
    found = reckoned({"amount": "20"}, states)
    assert found.left_out == {reason: 20}
    assert found.outputs == {}


def test_no_amount_is_none_and_what_is_no_amount_is_counted() -> None:
    assert reckoned({"amount": None}, {}).left_out_rows == {}
    assert reckoned({"amount": "twelve"}, {}).left_out_rows == {UNREADABLE: 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: {account: $b, amount: $c}", "parts account, amount, of"),
        ("b: {account: $b, amount: $c, of: {X: y}}", "Did you mean|Known: a"),
        ("a: {account: $b, amount: $c | money, of: {X: y}}", "negated"),
    ],
)
def test_a_wrong_sum_is_refused(text: str, says: str) -> None:
    with pytest.raises(MappingError, match=says):
        sums.read(document.read(text, "source.yaml"), "source.yaml", ["a"])
