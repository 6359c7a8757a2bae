"""Ids that the server assigns: UUIDv7, which keeps the primary index compact.  RFC 9562 §5.7"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

NewId = Callable[[], str]

_COUNTER_BITS = 42
"""rand_a (12 bits) and the top 30 bits of rand_b count within a millisecond. RFC 9562 §6.2, method 1"""


class Uuid7:
    """A source of ids that never go back in time, in one process; the lowest 32 bits are always random."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._millisecond = 0
        self._counter = 0

    def __call__(self) -> str:
        with self._lock:
            millisecond, counter = self._tick()
        random = int.from_bytes(os.urandom(4), "big")
        value = millisecond << 80 | 7 << 76 | (counter >> 30) << 64 | 0b10 << 62 | (counter & 0x3FFFFFFF) << 32 | random
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _tick(self) -> tuple[int, int]:
        """A new millisecond starts at a random count in the lower half, so there is room to count up."""
        now = self._clock() // 1_000_000
        if now > self._millisecond:
            self._millisecond = now
            self._counter = int.from_bytes(os.urandom(6), "big") >> (48 - _COUNTER_BITS + 1)
        else:
            self._counter += 1
            if self._counter >> _COUNTER_BITS:
                self._millisecond, self._counter = self._millisecond + 1, 0
        return self._millisecond, self._counter


uuid7: NewId = Uuid7()
