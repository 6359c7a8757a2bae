"""Counts and latencies for Prometheus; labels come from the interaction table, never from a URL.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

import os
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from fhir_server.rest.exchange import Exchange
from fhir_server.settings import METRICS_DIRECTORY

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REGISTRY = CollectorRegistry()
_SECONDS = Histogram(
    "fhir_request_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ["interaction", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    registry=_REGISTRY,
)
_BYTES = Counter("fhir_response_bytes", "Bytes of answers.", ["interaction"], registry=_REGISTRY)


def observe(exchange: Exchange) -> None:
    latency, sent = _series(exchange.interaction, exchange.method, exchange.status)
    latency.observe(exchange.seconds)
    sent.inc(exchange.sent)


@lru_cache(maxsize=1024)
def _series(interaction: str, method: str, status: int) -> tuple[Histogram, Counter]:
    """Found once: looking a series up by its labels costs more than counting."""
    known = method if method in _METHODS else "other"
    return _SECONDS.labels(interaction, known, status), _BYTES.labels(interaction)


def page() -> bytes:
    """All metrics, of all workers where they share a directory."""
    if METRICS_DIRECTORY not in os.environ:
        return generate_latest(_REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
