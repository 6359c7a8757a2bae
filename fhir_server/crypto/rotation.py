"""When a key is due: after a time, after so many uses, or because something happened.  NIST SP 800-57 Part 1 §5.3"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

CEILING: Final = 2**30
"""Uses after which every key is due, policy or not: a quarter of what SP 800-38D §8.3 allows with random nonces."""

TIME, USAGE, EVENT = "time", "usage", "event"
EVENTS: Final = {
    "compromise": "A key, or a machine that had it open, may be known to somebody else.",
    "staff-leaving": "Somebody has left who could read keys.",
    "kek-change": "The key that wraps all others was replaced for a reason.",
}
"""What can be reported to have happened; the words of legacy policies that mean the same are in `SAME`."""

SAME: Final = {
    "key_compromise": "compromise",
    "security_incident": "compromise",
    "security_breach": "compromise",
    "breach": "compromise",
    "staff_change": "staff-leaving",
    "staff_leaving": "staff-leaving",
    "staff_departure": "staff-leaving",
    "employee_departure": "staff-leaving",
    "personnel_change": "staff-leaving",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """One reason to rotate: the days, the uses or the events of its trigger."""

    name: str
    trigger: str
    days: int | None = None
    uses: int | None = None
    events: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The key that is sealed with now."""

    created: datetime
    uses: int


def policy_of(record: Mapping[str, Any]) -> Policy:
    """From a record `keys/rotation`, whether it was made here or comes from a legacy table."""
    events = record.get("events") or ()
    listed = [events] if isinstance(events, str) else list(events)
    known = frozenset(SAME.get(str(each).lower().replace("-", "_"), str(each).lower()) for each in listed)
    return Policy(
        record["name"], record.get("trigger", ""), record.get("intervalDays"), record.get("maximumUses"), known
    )


def due(key: KeyUse, policies: Iterable[Policy], happened: Mapping[str, datetime], now: datetime) -> str | None:
    """Why the key is to be replaced, in a sentence; None as long as it is not."""
    if key.uses >= CEILING:
        return f"It has sealed {key.uses:,} values; {CEILING:,} is the most for any key."
    return next((why for each in policies if (why := _why(each, key, happened, now))), None)


def next_time(key: KeyUse, policies: Iterable[Policy]) -> datetime | None:
    """When time alone makes it due."""
    times = [key.created + timedelta(days=each.days) for each in policies if each.trigger == TIME and each.days]
    return min(times, default=None)


def _why(policy: Policy, key: KeyUse, happened: Mapping[str, datetime], now: datetime) -> str | None:
    """An event before the key was made is no reason to replace it."""
    if policy.trigger == TIME and policy.days and now - key.created >= timedelta(days=policy.days):
        return f"Policy '{policy.name}': it is {(now - key.created).days} days old, and {policy.days} are allowed."
    if policy.trigger == USAGE and policy.uses and key.uses >= policy.uses:
        return f"Policy '{policy.name}': it has sealed {key.uses:,} values, and {policy.uses:,} are allowed."
    seen = sorted(
        each for each in policy.events if policy.trigger == EVENT and happened.get(each, key.created) > key.created
    )
    return f"Policy '{policy.name}': {seen[0]} was reported." if seen else None
