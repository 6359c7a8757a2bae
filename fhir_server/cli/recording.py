"""What an operator does by a command is recorded where it was done: in the tenant's own record.  45 CFR 164.312(b)"""

from __future__ import annotations

import getpass
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fhir_server.fhir import audit
from fhir_server.fhir.audit import Agent, Outcome
from fhir_server.fhir.audit_kinds import HUMAN, OPERATOR, happened
from fhir_server.fhir.outcome import FhirError
from fhir_server.mapping.outcome import QUARANTINED, Report
from fhir_server.store.connection import Store

Said = dict[str, Any]
"""What is to be said of it besides, by name."""


@asynccontextmanager
async def recorded(store: Store, tenant: str, kind: str, name: str, **known: Any) -> AsyncIterator[Said]:
    """An event of this kind when the work inside is done, or has failed; the work may add to what it says.

    What could not be recorded is not begun.
    """
    said: Said = dict(known)
    if await store.tenants.get(tenant) is not None:
        await store.keys.witness(tenant)
    try:
        yield said
    except FhirError as problem:
        if problem.status != 503 and await store.tenants.get(tenant) is not None:
            await _told(store, tenant, kind, name, {**said, "refused": problem.issues[0].code}, "4")
        raise
    await _told(store, tenant, kind, name, said, "0")


async def _told(store: Store, tenant: str, kind: str, name: str, said: Mapping[str, Any], outcome: Outcome) -> None:
    details = tuple((key, str(value)) for key, value in said.items() if value is not None)
    event = happened(
        kind,
        datetime.now(UTC),
        operator(),
        Agent((audit.APPLICATION,), display=audit.OBSERVER, address=socket.gethostname(), address_type="1"),
        outcome=outcome,
        entities=(audit.thing("Security Resource", name, *details),),
    )
    await store.journal.record(tenant, event)


def summary(report: Report) -> Said:
    """A run of a migration in numbers: one event for all its rows, each of which has a Provenance of its own."""
    written: Counter[str] = Counter()
    for table in report.tables:
        written.update(table.resources)
    counted = {"run": report.run_id, "tables": len(report.tables), "rows": sum(each.rows for each in report.tables)}
    quarantined = sum(each.counts[QUARANTINED] for each in report.tables)
    return {**counted, "quarantined": quarantined, **dict(sorted(written.items()))}


def operator() -> Agent:
    return Agent((HUMAN,), identifier=account(), requestor=True)


def account() -> str:
    """Whoever has this account on this machine."""
    try:
        return f"{OPERATOR}{getpass.getuser()}"
    except (KeyError, OSError):  # An account without a name, as in some containers.
        return f"{OPERATOR}unknown"
