"""Keeping the audit chains in order, which every process that serves takes its turn with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.journal import Journal
from fhir_server.store.tasks import beside

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two rounds."""


@asynccontextmanager
async def keeping(journal: Journal) -> AsyncIterator[None]:
    """As long as this process serves; nothing where the journal is off."""
    if journal.off:
        yield
        return
    async with beside(_keep(journal)):
        yield


async def _keep(journal: Journal) -> None:
    """What goes wrong in a round is tried again in the next."""
    while True:
        try:
            await journal.round()
        except FhirError as problem:
            log.warning("The audit chains have to wait: %s", problem)
        except Exception:
            log.exception("The audit chains could not be kept in order.")
        await asyncio.sleep(EVERY)
