"""Appointments: planned, kept, missed, cancelled."""

from __future__ import annotations

from datetime import datetime, timedelta

from seed import dirt
from seed.dirt import sometimes
from seed.practice import Practice, Row
from seed.words import REASONS, SERVICES

STATUSES = (
    *["completed"] * 55,
    *["scheduled"] * 10,
    *["confirmed"] * 8,
    *["cancelled"] * 8,
    *["no_show"] * 5,
    *["rescheduled"] * 4,
    *["checked_in"] * 2,
    *["in_progress"] * 2,
    *["arrived"] * 2,
    *["requested", "pending", "waitlist", "Canceled", "in-session", "No Show"],
)


TYPES = ("initial", "follow_up", "follow-up", "consultation", "therapy", "annual", "walk in", "crisis", "group")
AHEAD = ("scheduled", "confirmed", "requested", "pending", "waitlist")
CANCELLED = ("cancelled", "Canceled", "no_show", "No Show", "rescheduled")


def appointment(practice: Practice, number: int) -> Row:
    random = practice.random
    client_id, provider_id = random.randint(1, practice.clients), random.randint(1, practice.providers)
    status = random.choice(STATUSES)
    day = practice.day(-1, -90) if status in AHEAD else practice.day(900, 1)
    if status == "completed":
        practice.took_place.append((number, client_id, provider_id, day))
    return {
        "id": number,
        "tenant_id": practice.tenant,
        "client_id": practice.maybe(0.998, client_id),
        "provider_id": provider_id,
        "location_id": practice.maybe(0.9, random.randint(1, 3)),
        "title": practice.maybe(0.3, "Session"),
        "status": sometimes(random, 0.003, status, dirt.unknown_code),
        "appointment_type": practice.maybe(0.95, random.choice(TYPES)),
        **_times(practice, status, day),
        "reason": practice.maybe(0.7, random.choice(REASONS)),
        "notes": practice.maybe(0.1, "Bring insurance card."),
        "is_telehealth": practice.maybe(0.95, random.random() < 0.35),
        "telehealth_url": practice.maybe(0.1, "https://video.example/room"),
        "service_code": practice.maybe(0.6, random.choice(SERVICES)[0]),
        "rescheduled_from_id": practice.maybe(0.03, random.randint(1, number)),
        "insurance_authorization_number": practice.maybe(0.1, f"AUTH{random.randint(1000, 9999)}"),
        "is_billable": True,
        "reminder_sent_at": practice.maybe(0.3, practice.moment(day, 7)),
        "reminder_channel": practice.maybe(0.9, random.choice(("sms", "email", "phone", "pigeon"))),
        "created_at": practice.moment(practice.day(1000, 901)),
        "updated_at": practice.moment(day),
        "deleted_at": practice.maybe(0.003, practice.moment(day)),
    }


def _times(practice: Practice, status: str, day: str) -> Row:
    """When it was to begin and end, and what came of it."""
    random = practice.random
    minutes = random.choice((30, 45, 60))
    start = practice.moment(day, random.randint(8, 17))
    later = (datetime.fromisoformat(start) + timedelta(minutes=minutes)).isoformat(" ")
    completed, cancelled = status == "completed", status in CANCELLED
    why = random.choice(("client", "provider", "weather", "insurance", "forgot", None))
    return {
        "start_time": start,
        "end_time": practice.dirty_day(practice.maybe(0.9, later), 0.005),
        "duration_minutes": minutes,
        "cancellation_reason": why if cancelled else None,
        "cancelled_at": start if cancelled else None,
        "checked_in_at": start if completed and random.random() < 0.7 else None,
        "completed_at": later if completed else None,
    }
