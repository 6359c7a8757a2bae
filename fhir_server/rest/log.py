"""Structured logs: one JSON object a line on standard error, and nothing in it that is about a patient.

A request is logged with its method, interaction, type and outcome; not with its path, query, ids or body, which can all
say who somebody is.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from fhir_server.rest.exchange import Exchange

LOGGER = logging.getLogger("fhir_server")
REQUESTS = logging.getLogger("fhir_server.requests")

_STDERR = 2


class JsonLines(logging.Formatter):
    """A log record as one line of JSON; `extra={"fields": {...}}` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _moment(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure(level: str) -> None:
    """Everything that the process logs, of whichever library, goes to standard error in this form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("pymongo").setLevel(logging.WARNING)


def requests(exchanges: Iterable[Exchange]) -> None:
    """Written past the machinery of `logging`, which takes longer than all the rest; its level still decides."""
    if REQUESTS.isEnabledFor(logging.INFO):
        lines = [msgspec.json.encode(_line(each)) for each in exchanges]
        os.write(_STDERR, b"\n".join([*lines, b""]))


def _line(exchange: Exchange) -> dict[str, Any]:
    return {
        "time": _moment(exchange.arrived + exchange.seconds),
        "level": "INFO",
        "logger": REQUESTS.name,
        "message": "answered",
        "request": exchange.request_id,
        "method": exchange.method,
        "interaction": exchange.interaction,
        "type": exchange.resource_type,
        "tenant": exchange.tenant,
        "client": exchange.client_id,
        "token": exchange.token_id,
        "status": exchange.status,
        "bytes": exchange.sent,
        "ms": round(exchange.seconds * 1000, 2),
    }


def failure(request_id: str) -> None:
    """The whole truth about a 500, for the operator only."""
    LOGGER.exception("a request failed", extra={"fields": {"request": request_id}})


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
