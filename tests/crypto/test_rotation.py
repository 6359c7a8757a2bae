"""Whether a key is due, row by row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.crypto.rotation import EVENTS, SAME, KeyUse, due, next_time, policy_of

ROWS = yaml.safe_load((Path(__file__).parent / "rotation.yaml").read_text())
MADE = datetime(2026, 1, 1, tzinfo=UTC)


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_a_key_is_due_for_a_reason(row: dict[str, Any]) -> None:
    policies = [policy_of(each) for each in row.get("policies", ())]
    happened = {event: at(day) for event, day in row.get("happened", {}).items()}
    why = due(KeyUse(MADE, row.get("uses", 0)), policies, happened, at(row["day"]))
    assert (why is None) == ("due" not in row), why
    assert row.get("due", "") in (why or "")


def test_the_next_time_is_the_earliest() -> None:
    policies = [policy_of({"name": "p", "trigger": "time", "intervalDays": days}) for days in (365, 30, None)]
    assert next_time(KeyUse(MADE, 0), policies) == MADE + timedelta(days=30)
    assert next_time(KeyUse(MADE, 0), []) is None


def test_legacy_words_mean_something_here() -> None:
    assert set(SAME.values()) <= set(EVENTS)
