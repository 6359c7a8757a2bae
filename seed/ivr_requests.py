"""Requests of the sample IVR platform: what was asked for, what was decided, what belongs to it, who looked at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from seed import dirt
from seed.dirt import sometimes
from seed.ivr_people import ROLES, Platform, Request
from seed.practice import Row
from seed.words import DIAGNOSES, PAYERS

STATUSES = ("pending_review", "in_review", "approved", "approved", "rejected", "awaiting_documents", "escalated")
PRIORITIES = ("low", "medium", "high", "critical")
PRODUCTS = (("Skin graft", "Q4101"), ("Collagen matrix", "Q4106"), ("Foam dressing", "A6209"), ("Gauze", None))
SIZES = (("2x2", "2 x 2 cm", "60.00"), ("4x4", "4 x 4 cm", "100.00"), ("8x8", "8 x 8 cm", "240.50"))
FILES = (
    ("Insurance card", "insurance_card", "image/png"),
    ("Wound photo", "wound_photo", "image/jpeg"),
    ("Laboratory report", "lab_report", "application/pdf"),
    ("Letter", "letter_of_medical_necessity", "application/pdf"),
    ("Something", "misc", "a scan"),
)
LEVELS = ("RESTRICTED", "RESTRICTED", "CONFIDENTIAL", "NORMAL", "PUBLIC")
ACTIONS = ("create", "update", "view", "export", "login", "login_failed", "delete")


def requests(platform: Platform, number: int) -> Iterator[Row]:
    """One or two of most patients; of one in two hundred none, and nobody knows whose patient that is."""
    if number % 200 == 0:
        return
    for rank in range(platform.practice.random.choices((1, 2), (60, 40))[0]):
        yield _request(platform, number, rank)


def _request(platform: Platform, number: int, rank: int) -> Row:
    practice, random = platform.practice, platform.practice.random
    own, patient, day = (
        platform.id("ivr_requests", f"{number}-{rank}"),
        platform.id("patients", number),
        practice.day(390, 20),
    )
    count = len(platform.requested) + 1
    submitter = _user(platform, number, "DOCTOR")
    payer, policy = platform.policies.get(number, (PAYERS[number % len(PAYERS)], f"NEW{number:07d}"))
    status = STATUSES[count % len(STATUSES)]
    platform.requested.append(Request(count, own, patient, submitter, day))
    return {
        "id": own,
        "ivr_number": f"IVR-{day[:4]}-{count:06d}",
        "patient_id": patient,
        "doctor_id": platform.id("healthcare_providers", random.randint(1, platform.providers)),
        "submitter_id": submitter,
        "insurance_provider": sometimes(random, 0.1, payer, dirt.shouted, lambda _, __: "Mutual of Nowhere"),
        "policy_number": sometimes(random, 0.1, policy, lambda _, whole: f"{whole}-X"),
        "group_number": practice.maybe(0.5, f"G{random.randint(100, 999)}"),
        "coverage_type": practice.maybe(0.95, "Primary"),
        "diagnosis_code": sometimes(random, 0.03, random.choice(DIAGNOSES)[0], dirt.unknown_code, dirt.blank),
        "treatment_plan": practice.maybe(0.8, "Debridement and dressing, weekly for twelve weeks."),
        "medical_necessity": platform.seal("No healing in 30 days.", "ivr_requests", own, "medical_necessity", day),
        "status": sometimes(random, 0.005, status, dirt.unknown_code),
        "priority": PRIORITIES[count % len(PRIORITIES)],
        **_decision(platform, number, status, day),
        "submitted_at": platform.moment(day),
        "created_at": platform.moment(day, 8),
        "updated_at": platform.moment(_later(day, 10), 18),
    }


def _user(platform: Platform, patient: int, role: str) -> str:
    """A user of the organization that a patient belongs to."""
    organization = patient % platform.organizations
    return platform.id("users", organization * len(ROLES) + ROLES.index(role) + 1)


def _later(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _decision(platform: Platform, number: int, status: str, day: str) -> Row:
    decider, at = _user(platform, number, "IVR"), platform.moment(_later(day, 5), 14)
    random = platform.practice.random
    if status == "approved":
        return {
            "approved_by": decider,
            "approved_at": at,
            "coverage_percentage": random.choice((80, 100, "72.50")),
            "deductible_amount": "500.00",
            "copay_amount": platform.practice.maybe(0.8, "25.50"),
            "out_of_pocket_max": "4000.00",
            "coverage_notes": "Approved for twelve weeks.",
        }
    if status == "rejected":
        why = {
            "rejection_reason": "Not covered",
            "rejection_notes": platform.practice.maybe(0.8, "Plan excludes grafts."),
        }
        return {"rejected_by": decider, "rejected_at": at, **why}
    if status == "awaiting_documents":
        return {
            "document_request_by": decider,
            "document_request_at": at,
            "document_types": json.dumps(["wound_photo", "lab_report"]),
            "document_deadline": _later(day, 30),
            "document_request_notes": "Please send what is missing.",
        }
    return {}


def products(platform: Platform) -> Iterator[Row]:
    """One or two for a request; half of them come in sizes, which are kept for their own table."""
    practice, random = platform.practice, platform.practice.random
    for request in platform.requested:
        for rank in range(random.randint(0, 2)):
            own = platform.id("ivr_products", f"{request.number}-{rank}")
            name, code = random.choice(PRODUCTS)
            quantity, is_sized = random.randint(1, 12), random.random() < 0.5
            if is_sized:
                platform.sized.append((own, quantity, request.day))
            yield {
                "id": own,
                "ivr_request_id": request.id,
                "product_name": name,
                "q_code": sometimes(random, 0.03, code, dirt.unknown_code),
                "total_quantity": practice.maybe(0.98, quantity) or 0,
                "total_cost": str(Decimal("30.25") * quantity),
                "created_at": platform.moment(request.day),
                "updated_at": platform.moment(request.day, 10),
            }


def sizes(platform: Platform) -> Iterator[Row]:
    random = platform.practice.random
    for product, quantity, day in platform.sized:
        for rank, (size, dimensions, price) in enumerate(random.sample(SIZES, random.randint(1, 2))):
            total = Decimal(price) * quantity
            yield {
                "id": platform.id("ivr_product_sizes", f"{product}-{rank}"),
                "ivr_product_id": product,
                "size": size,
                "dimensions": dimensions,
                "unit_price": price,
                "quantity": quantity,
                "total": str(total + 1 if random.random() < 0.02 else total),
                "created_at": platform.moment(day),
            }


def documents(platform: Platform) -> Iterator[Row]:
    practice, random = platform.practice, platform.practice.random
    for request in platform.requested:
        if random.random() < 0.5:
            name, kind, mime = random.choices(FILES, (30, 30, 20, 18, 2))[0]
            own = platform.id("documents", request.number)
            yield {
                "id": own,
                "name": name,
                "type": kind,
                "file_path": practice.maybe(0.95, f"/files/{own}"),
                "file_size": random.randint(10_000, 5_000_000),
                "mime_type": mime,
                "checksum": practice.maybe(0.8, f"sha256:{request.number:064x}"),
                "patient_id": practice.maybe(0.8, request.patient),
                "ivr_request_id": request.id,
                "uploaded_by": request.submitter,
                "is_phi": True,
                "encryption_key_id": "kms/documents/2024",
                "access_level": random.choice(LEVELS),
                "created_at": platform.moment(request.day, 10),
                "updated_at": platform.moment(request.day, 11),
            }


def log(platform: Platform, number: int) -> Row:
    practice, random = platform.practice, platform.practice.random
    before, after = json.dumps({"phone": "1"}), json.dumps({"phone": "2", "password_hash": "$2b$12$not.a.hash"})
    return {
        "id": platform.id("audit_logs", number),
        "user_id": _user(platform, number, random.choice(ROLES)),
        "action": random.choice(ACTIONS),
        "resource_type": "patients",
        "resource_id": platform.id("patients", number),
        "old_values": practice.maybe(0.5, before),
        "new_values": practice.maybe(0.5, after),
        "ip_address": f"10.0.{number % 250}.{random.randint(1, 250)}",
        "user_agent": practice.maybe(0.8, "Mozilla/5.0"),
        "session_id": practice.maybe(0.9, f"session-{number}"),
        "created_at": platform.moment(practice.day(390)),
    }
