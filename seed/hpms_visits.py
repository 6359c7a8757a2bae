"""Appointments of the sample HPMS, what they cost, what was paid, and what the audit log says of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

from seed.practice import Practice, Row

SCHEDULED, ARRIVED, IN_SESSION, COMPLETED, NO_SHOW = range(5)
DRAFT, OPEN, PAID, VOID = range(4)
STATUSES = (*[COMPLETED] * 14, *[SCHEDULED] * 3, NO_SHOW, ARRIVED, IN_SESSION)
BILLED = {1: "210.00", 2: "95.50", 3: "180.00", 4: "90.00", 5: "120.00"}
"""What is charged by type of appointment."""
AUDITED = ("Patients", "Appointments", "Users", "Invoices", "AppointmentTypes", "Tenants", "Roles")
ACTIONS = ("Create", "Update", "Delete")


@dataclass(slots=True)
class Invoice:
    """What the ledger needs to know of one."""

    id: str
    amount: Decimal
    status: int
    day: str


@dataclass
class Clinic:
    """A tenant in the making. Ids are a function of table and number: no row needs to be kept to be pointed to."""

    practice: Practice
    kept: list[tuple[int, int, str]] = field(default_factory=list)
    """Appointments that took place: number, type, day."""

    @cached_property
    def id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.practice.tenant}.hpms.example"))

    @property
    def users(self) -> int:
        return self.practice.providers + 4 + self.practice.clients // 100

    def guid(self, table: str, number: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{table}.{number}.{self.practice.tenant}.hpms.example"))


def appointment(clinic: Clinic, number: int) -> Row:
    practice, random = clinic.practice, clinic.practice.random
    status, kind = random.choice(STATUSES), random.randint(1, len(BILLED))
    day = practice.day(-1, -60) if status == SCHEDULED else practice.day(800, 1)
    start = practice.moment(day, random.randint(8, 17))
    end = (datetime.fromisoformat(start) + timedelta(minutes=random.choice((30, 45, 60)))).isoformat(" ")
    if status == COMPLETED:
        clinic.kept.append((number, kind, day))
    return {
        "Id": clinic.guid("Appointments", number),
        "TenantId": clinic.id,
        "PatientId": clinic.guid("Patients", random.randint(1, practice.clients)),
        "ProviderId": clinic.guid("Users", random.randint(1, practice.providers)),
        "StartTime": start,
        "EndTime": practice.dirty_day(end, 0.004),
        "Status": 7 if random.random() < 0.003 else status,
        "TypeId": practice.maybe(0.97, kind),
        "RowVersion": number.to_bytes(8, "big"),
        "IsDeleted": random.random() < 0.005,
    }


def invoices(clinic: Clinic, billed: list[Invoice]) -> Iterator[Row]:
    """One for each appointment that was kept; what was billed is written down for the ledger."""
    random = clinic.practice.random
    for number, (appointment_number, kind, day) in enumerate(clinic.kept, 1):
        status = number - 1 if number <= 4 else random.choices((DRAFT, OPEN, PAID, VOID), (5, 20, 70, 5))[0]
        invoice = Invoice(clinic.guid("Invoices", number), Decimal(BILLED[kind]), status, day)
        billed.append(invoice)
        yield {
            "Id": invoice.id,
            "TenantId": clinic.id,
            "AppointmentId": clinic.guid("Appointments", appointment_number),
            "TotalAmount": str(invoice.amount),
            "Status": status,
            "IsDeleted": random.random() < 0.003,
        }


def ledger(clinic: Clinic, billed: list[Invoice]) -> Iterator[Row]:
    """Debits add up to the invoice; credits to as much where it is paid. Now and then there is a refund."""
    number = 0
    for invoice in billed:
        for kind, amount in _entries(clinic.practice, invoice):
            number += 1
            yield {
                "Id": number,
                "TenantId": clinic.id,
                "InvoiceId": invoice.id,
                "Amount": str(amount),
                "Type": kind,
                "CreatedAt": clinic.practice.moment(invoice.day, 18),
            }


def _entries(practice: Practice, invoice: Invoice) -> Iterator[tuple[str, Decimal]]:
    if invoice.status == DRAFT:
        return
    supplies = Decimal(practice.maybe(0.2, "15.00") or 0)
    yield "Debit", invoice.amount - supplies
    if supplies:
        yield "Debit", supplies
    if invoice.status == PAID:
        copay = Decimal(practice.maybe(0.5, "25.00") or 0)
        yield "Credit", invoice.amount - copay
        if copay:
            yield "Credit", copay
    elif practice.random.random() < 0.03:
        yield "Credit", Decimal("50.00")
        yield "Credit", Decimal("-50.00")


def log(clinic: Clinic, number: int) -> Row:
    practice, random = clinic.practice, clinic.practice.random
    table = AUDITED[number - 1] if number <= len(AUDITED) else random.choice(AUDITED[:2])
    ids = {"Tenants": clinic.id, "Roles": "3", "AppointmentTypes": "2"}
    most = {"Patients": practice.clients, "Appointments": practice.clients, "Users": practice.providers, "Invoices": 1}
    action = random.choice(ACTIONS)
    state = json.dumps({"IsDeleted": False, **({"PasswordHash": "$2b$12$not.a.hash"} if table == "Users" else {})})
    return {
        "Id": number,
        "TenantId": clinic.id,
        "EntityName": table,
        "EntityId": ids.get(table) or clinic.guid(table, random.randint(1, most[table])),
        "UserId": practice.maybe(0.95, clinic.guid("Users", random.randint(1, clinic.users))),
        "Action": action,
        "OldValues": None if action == "Create" else state,
        "NewValues": None if action == "Delete" else practice.maybe(0.98, state) or state[:12],
        "Timestamp": practice.moment(practice.day(800), 9),
    }
