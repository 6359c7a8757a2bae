"""The ledger: charges for appointments that took place, claims, payments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from seed import dirt
from seed.dirt import sometimes
from seed.practice import Practice, Row
from seed.words import DIAGNOSES, SERVICES


def numbered(practice: Practice, rows: Iterable[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield {"id": number, "tenant_id": practice.tenant, **row}


def ledger(practice: Practice) -> Iterator[Row]:
    """For each appointment that took place its charges, and what was paid for them."""
    for appointment, client, provider, day in practice.took_place:
        payer = practice.insured.get(client)
        claim = f"CLM-{appointment:07d}" if payer and practice.random.random() < 0.8 else None
        about = {"client_id": client, "appointment_id": appointment, "provider_id": provider, "service_date": day}
        claimed = _claimed(practice, claim, payer, day)
        charges = [_charge(practice, day) for _ in range(practice.random.choice((1, 1, 1, 2)))]
        yield from ({**about, **claimed, **charge} for charge in charges)
        if practice.random.random() < 0.7:
            yield {**about, **_payment(practice, day, sum(each["amount"] or 0 for each in charges), payer, claim)}


def _claimed(practice: Practice, claim: str | None, payer: str | None, day: str) -> Row:
    if claim is None:
        return {}
    status = practice.random.choice(
        ("submitted", "pending", "accepted", "paid", "paid", "paid", "partially_paid", "denied", "rejected")
    )
    answered = status not in ("submitted",)
    return {
        "insurance_provider": payer,
        "insurance_claim_number": claim,
        "claim_status": status,
        "claim_submitted_at": f"{day} 18:00:00",
        "claim_response_at": practice.moment(practice.day(20), 10) if answered else None,
    }


def _charge(practice: Practice, day: str) -> Row:
    random = practice.random
    code, words, price = random.choice(SERVICES)
    units = random.choice((1, 1, 1, None, 2, 4)) if code.startswith("H") else random.choice((1, None))
    amount = round(price * (units or 1) * random.choice((1, 1, 0.9)), 2)
    codes = [each for each, _ in random.sample(DIAGNOSES, random.randint(1, 2))]
    voided = random.random() < 0.02
    return {
        "transaction_type": sometimes(random, 0.004, "charge", dirt.unknown_code, dirt.shouted),
        "transaction_date": day,
        "posting_date": f"{day} 19:30:00",
        "description": words,
        "billing_code": sometimes(random, 0.02, code, dirt.blank, dirt.unknown_code),
        "billing_code_modifier": practice.maybe(0.2, random.choice(("95", "GT", "25"))),
        "diagnosis_codes": sometimes(random, 0.02, json.dumps(codes), dirt.blank, lambda _, raw: raw[:-1]),
        "units": units,
        "amount": practice.maybe(0.998, amount),
        "allowed_amount": practice.maybe(0.8, round(amount * 0.8, 2)),
        "is_posted": random.random() < 0.95,
        "voided_at": f"{day} 20:00:00" if voided else None,
        "void_reason": "entered twice" if voided else None,
        "created_by": random.randint(1, practice.providers + 2),
        "created_at": f"{day} 19:00:00",
        "updated_at": f"{day} 20:00:00",
    }


def _payment(practice: Practice, day: str, total: float, payer: str | None, claim: str | None) -> Row:
    random = practice.random
    kind = random.choices(("payment", "adjustment", "write_off", "refund", "credit", "transfer"), (75, 8, 5, 4, 5, 3))[
        0
    ]
    by_insurer = claim is not None and random.random() < 0.6
    method = "insurance" if by_insurer else random.choice(("cash", "check", "credit_card", "hsa", "ach", "bitcoin"))
    return {
        "transaction_type": kind,
        "transaction_date": practice.dirty_day(day, 0.002),
        "description": practice.maybe(0.5, f"{kind} received"),
        "amount": round(total * random.choice((1, 0.5, 0.8)), 2),
        "payment_method": practice.maybe(0.95, method),
        "payment_reference": practice.maybe(0.6, f"REF{random.randint(10**5, 10**6)}"),
        "insurance_provider": payer if by_insurer else None,
        "insurance_claim_number": claim if by_insurer else None,
        "is_posted": True,
        "is_reconciled": practice.maybe(0.9, random.random() < 0.8),
        "created_by": random.randint(1, practice.providers + 2),
        "created_at": f"{day} 20:30:00",
        "updated_at": f"{day} 20:30:00",
    }
