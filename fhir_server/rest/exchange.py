"""What is remembered of one request and its answer, for the log and the metrics: nothing about a patient."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from itertools import count

from fhir_server.interactions.events import Asked
from fhir_server.rest.asgi import Scope
from fhir_server.store.recording import Recording

KEY = "fhir_server.exchange"
"""Where an exchange travels in the ASGI scope."""

CLOSED_BY_CLIENT = 499
"""Not a status of HTTP, only a word for the log."""

_PROCESS = os.urandom(4).hex()
_NUMBERS = count(1)
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}\Z")


@dataclass(slots=True)
class Exchange:
    """No path, no query and no ids: what a URL holds can be about a patient."""

    request_id: str
    arrived: float
    started: float
    method: str
    interaction: str = "none"
    """The code of the interaction table; `none` where the request was refused before it had one."""
    resource_type: str | None = None
    tenant: str | None = None
    client_id: str | None = None
    token_id: str | None = None
    status: int = 0
    sent: int = 0
    seconds: float = 0.0
    unrecorded: bool = False
    """It is about nobody's data."""
    recorded: tuple[Asked, Recording] | None = None
    """As the event that it leaves sees it."""

    @classmethod
    def of(cls, scope: Scope) -> Exchange:
        return cls(_request_id(scope), time.time(), time.perf_counter(), scope["method"])

    def over(self) -> None:
        """Whoever sent no status hung up before there was an answer."""
        self.seconds = time.perf_counter() - self.started
        self.status = self.status or CLOSED_BY_CLIENT


def _request_id(scope: Scope) -> str:
    """The id that the client gave, where it can do no harm in a log; else a new one. https://hl7.org/fhir/R4/http.html#custom"""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.match(value):
            return str(value, "ascii")
    # Workers may be forks that share all but the process id.
    return f"{_PROCESS}-{os.getpid():x}-{next(_NUMBERS):x}"
