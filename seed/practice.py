"""A practice in the making: what its tables have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

from seed import dirt
from seed.dirt import sometimes
from seed.sealing import SAMPLE_KEY
from seed.words import STREET_KINDS, STREETS

Row = dict[str, Any]
TODAY = date(2025, 6, 30)
"""Sample data does not age."""


@dataclass(slots=True)
class Practice:
    """One practice in the making."""

    tenant: str
    clients: int
    random: Random
    strict: bool
    """The database checks its column types: dates cannot be dirty."""
    key: str = SAMPLE_KEY
    seed: int = 1
    beside: Random = field(default_factory=lambda: Random(0))
    """For what came to be written later: rows that were there before stay as they are."""
    insured: dict[int, str] = field(default_factory=dict)
    """Payers of clients."""
    took_place: list[tuple[int, int, int, str]] = field(default_factory=list)
    """Appointment, client, provider and day."""

    @property
    def providers(self) -> int:
        return max(3, min(200, self.clients // 80))

    def day(self, earliest: int, latest: int = 0) -> str:
        """A day so many days before today."""
        return (TODAY - timedelta(days=self.random.randint(latest, earliest))).isoformat()

    def dirty_day(self, value: str | None, share: float = 0.01) -> str | None:
        return value if self.strict else sometimes(self.random, share, value, dirt.bad_date)

    def moment(self, day: str, hour: int = 12) -> str:
        return f"{day} {hour:02d}:{self.random.choice((0, 15, 30, 45)):02d}:00"

    def maybe(self, share: float, value: Any) -> Any:
        return value if self.random.random() < share else None

    def phone(self, area: str) -> str:
        number = f"({area}) 555-{self.random.randint(1000, 9999)}"
        return sometimes(self.random, 0.06, number, dirt.odd_phone, dirt.nothing) or ""

    def street(self) -> str:
        return f"{self.random.randint(1, 9999)} {self.random.choice(STREETS)} {self.random.choice(STREET_KINDS)}"
