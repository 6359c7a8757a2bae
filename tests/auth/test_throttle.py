"""Those who guess are slowed down, and nobody else."""

from __future__ import annotations

import pytest

from fhir_server.auth.throttle import FAILURES, WINDOW, Throttle


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_some_failures_there_is_a_pause() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FAILURES):
        assert throttle.wait(("a",)) == 0
        throttle.failed(("a",))
    assert throttle.wait(("a",)) == WINDOW
    assert throttle.wait(("b",)) == 0
    clock.now += WINDOW
    assert throttle.wait(("a",)) == 0
    throttle.failed(("a",))
    assert throttle.wait(("a",)) == 0


def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.auth.throttle.MOST", 3)
    throttle = Throttle()
    for each in range(10):
        throttle.failed((str(each),))
    assert len(throttle._failed) == 3
