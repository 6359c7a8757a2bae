"""Slows down those who guess.  RFC 6749 §2.3.1, RFC 9700 §4.15"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

FAILURES = 10
WINDOW = 60.0
"""Seconds."""
MOST = 50_000
"""Counters that are kept; the oldest go first."""


class Throttle:
    """Counts failures by whatever key, in this process; nobody else is slowed down by those of one."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failed: dict[tuple[str, ...], tuple[int, float]] = {}

    def wait(self, key: tuple[str, ...]) -> int:
        """Seconds until the next attempt is looked at; nothing where it may come now."""
        count, until = self._failed.get(key, (0, 0.0))
        left = until - self._clock()
        return max(1, round(left)) if count >= FAILURES and left > 0 else 0

    def failed(self, key: tuple[str, ...]) -> None:
        now = self._clock()
        count, until = self._failed.pop(key, (0, 0.0))
        if len(self._failed) >= MOST:
            del self._failed[next(iter(self._failed))]
        self._failed[key] = (count + 1, until) if until > now else (1, now + WINDOW)
