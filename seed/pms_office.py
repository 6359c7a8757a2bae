"""The office of a sample practice: its profile, its locations, and who signs in."""

from __future__ import annotations

from collections.abc import Iterator

from seed.pms_providers import npi
from seed.practice import Practice, Row
from seed.sealing import sealed
from seed.words import FIRST, LAST, PLACES

HOURS = '{"monday": {"open": "08:00", "close": "18:00"}, "fri": {"open": "9:00", "close": "13:00"}}'


def profiles(practice: Practice) -> Iterator[Row]:
    city, state, zip_code, area = PLACES[0]
    yield {
        "id": 1,
        "tenant_id": practice.tenant,
        "practice_name": f"{practice.tenant.title()} Behavioral Health",
        "legal_name": f"{practice.tenant.title()} Behavioral Health LLC",
        "npi": npi(1),
        "tax_id": sealed("12-3456789", practice.key),
        "phone": practice.phone(area),
        "address_line1": practice.street(),
        "city": city,
        "state": state,
        "zip_code": f"{zip_code}01",
        "website": f"https://{practice.tenant}.example",
        "billing_contact_name": "Dana Wells",
        "billing_phone": f"({area}) 555-0199",
        "billing_address_line1": "PO Box 12",
        "timezone": "UTC",
        "default_appointment_duration": 50,
        "currency": "USD",
        "billing_settings": '{"terms_days": 30}',
        "settings": '{"reminders": true}',
        "is_active": True,
        "created_at": "2015-01-05 09:00:00",
        "updated_at": "2024-01-05 09:00:00",
    }


def locations(practice: Practice) -> Iterator[Row]:
    for number, (city, state, zip_code, area) in enumerate(PLACES[:3], 1):
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "practice_profile_id": 1,
            "name": f"{city} office",
            "code": f"LOC{number}",
            "phone": practice.phone(area),
            "address_line1": practice.street(),
            "city": city,
            "state": state,
            "zip_code": f"{zip_code}02",
            **_amenities(practice, number),
            "is_active": True,
            "is_primary": number == 1,
            "created_at": "2015-01-05 09:00:00",
            "updated_at": "2024-01-05 09:00:00",
        }


def users(practice: Practice) -> Iterator[Row]:
    for number in range(1, practice.providers + 3):
        is_provider = number <= practice.providers
        yield {
            "id": number,
            "tenant_id": practice.tenant,
            "username": f"user{number}",
            "email": f"user{number}@{practice.tenant}.example",
            "first_name": practice.random.choice(FIRST["female"]),
            "last_name": practice.random.choice(LAST),
            "role": "provider" if is_provider else practice.random.choice(("admin", "biller", "scheduler")),
            "provider_id": number if is_provider else None,
            **_signing_in(practice),
            "is_active": True,
            "created_at": "2016-01-05 09:00:00",
            "updated_at": "2024-01-05 09:00:00",
        }


def _amenities(practice: Practice, number: int) -> Row:
    """What a location offers."""
    random = practice.beside
    return {
        "npi": npi(900 + number),
        "latitude": round(random.uniform(29, 46), 6),
        "longitude": -round(random.uniform(70, 120), 6),
        "hours": HOURS if number < 3 else '["9-5"]',
        "holiday_hours": "Closed on federal holidays",
        "accepts_appointments": True,
        "parking_available": random.random() < 0.7,
        "wheelchair_accessible": True,
        "public_transit_access": random.random() < 0.5,
        "directions": "Entrance in the yard",
    }


def _signing_in(practice: Practice) -> Row:
    """How a user signs in; the secrets are none."""
    random = practice.beside
    by_google = random.random() < 0.3
    return {
        "password_hash": "$2b$12$never.a.real.hash",
        "oauth_provider": "google" if by_google else None,
        "oauth_subject": str(random.randint(10**8, 10**9)) if by_google else None,
        "mfa_enabled": random.random() < 0.5,
        "mfa_secret_encrypted": "bm8gc2VjcmV0",
        "last_login_at": "2025-06-27 08:15:00",
        "failed_login_attempts": random.randint(0, 3),
        "last_ip_address": f"10.0.0.{random.randint(2, 250)}",
    }
