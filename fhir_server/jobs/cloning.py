"""cloning: a copy of a tenant that identifies nobody, for test environments.

Ids are made by the secret of a project, so that a copy that was cut short goes on where it stopped, and two copies of
one project fit together.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from fhir_server.access.caller import Caller
from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.masking.masking import Unmaskable, masked
from fhir_server.fhir.masking.project import Project
from fhir_server.fhir.outcome import conflict
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.store.connection import Store
from fhir_server.store.copying import Copying
from fhir_server.store.features import FeatureRecords
from fhir_server.store.records import Heard
from fhir_server.store.tenants import Tenant

NEVER: Final = {
    "AuditEvent": "who did what with real records is of no use to a test",
    "SearchParameter": "it would tell the copy how to index",
}
"""Types that are not copied, and why."""

COPY: Final = "masking/copy"
"""The kind of record that says of which tenant one is a copy."""


@dataclass(slots=True)
class Cloned:
    """What was copied by type, and what has no copy that would be valid."""

    resources: Counter[str] = field(default_factory=Counter)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """References of the source, each with the reason."""


def copied() -> tuple[str, ...]:
    return tuple(sorted(resource_types() - NEVER.keys()))


async def count(store: Store, source: Tenant) -> int:
    """How many resources there are to copy."""
    return sum((await store.reindexing(source).counts(copied(), None)).values())


async def clone(
    store: Store, source: Tenant, target: str, project: Project, heard: Heard = lambda _: None, **place: Any
) -> Cloned:
    """Into a new tenant, or into one that an earlier attempt of the same project has begun."""
    into = store.repository(await _begun(store, source, target, project, place), Caller.system(target, "masked copy"))
    done, year = Cloned(), datetime.now(UTC).year
    async for versions in Copying(store.of(source), source, "masked copy").batches(copied()):
        copies = await asyncio.to_thread(_copies, versions, project, year, done)
        await into.put_many(copies)
        done.resources.update(each["resourceType"] for each in copies)
        heard(len(versions))
    return done


async def _begun(store: Store, source: Tenant, target: str, project: Project, place: dict[str, Any]) -> Tenant:
    """409 where the tenant is something else: a copy is never mixed with anything."""
    about = {"resourceType": COPY, "id": "1", "source": source.name, "project": project.fingerprint}
    found = await store.tenants.get(target)
    if found is None:
        title = f"Masked copy of {source.title}"
        found = await store.tenants.create(target, title=title, settings={"references": "free"}, **place)
        await FeatureRecords(store, found).put([about])
    elif await FeatureRecords(store, found).changed([about]):
        raise conflict(f"'{target}' is there already, and is no copy of '{source.name}' by this project.")
    return found


def _copies(versions: Sequence[Version], project: Project, year: int, done: Cloned) -> list[Resource]:
    copies = []
    for each in versions:
        try:
            copies.append(masked(each.resource(), project, year))
        except Unmaskable as problem:
            done.left_out.append((f"{each.resource_type}/{each.resource_id}", str(problem)))
    return copies
