"""Changes that were made of resources through the API, on their way back into the rows that the resources come from.

What waits is found by comparing: the version that the mapping has written with the one there is. So nothing has to be
noted when a resource is written, and nothing can be lost. A row is written only when mapping it again would say what
the resource says, and only when it is still the row that was mapped.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.edits import edited, unmet
from fhir_server.mapping.lineage import read
from fhir_server.mapping.outcome import Outcome, TableReport
from fhir_server.mapping.routes import NoWayBack, route
from fhir_server.mapping.run import Migration
from fhir_server.mapping.source import Row
from fhir_server.mapping.target import Target, touched
from fhir_server.mapping.writable import Writable

PAGE = 500
PENDING, WRITTEN, SETTLED, CONFLICT, REFUSED = STATUSES = ("pending", "written", "settled", "conflict", "refused")
SOURCE, SERVER = "source", "server"
"""Who is right about a row that was changed on both sides."""

State = Mapping[str, Any]
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Edit:
    """A changed resource, and what became of the change; no value is told."""

    table: str
    key: str
    resource: str
    status: str
    columns: tuple[str, ...] = ()
    """Those that are written."""
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def written_back(
    migration: Migration,
    target: Target | None,
    *,
    prefer: str | None = None,
    tables: Sequence[str] = (),
    told: Told = lambda _, __, ___: None,
) -> list[Edit]:
    """Every change that waits, written where there is a target; `told` hears how far it is."""
    found: list[Edit] = []
    for mapping in migration.catalogue.in_order():
        writable = migration.catalogue.writeback.get(mapping.table)
        if writable is None or (tables and mapping.table not in tables):
            continue
        looked = 0
        async for edits, states in _Table(migration, compiled(mapping, migration.catalogue), writable).edits(
            target, prefer
        ):
            found, looked = found + edits, looked + states
            told(mapping.table, looked, len(found))
    return found


class _Table:
    """One table of it."""

    def __init__(self, migration: Migration, table: Compiled, writable: Writable):
        self.migration, self.table, self.writable = migration, table, writable
        self.rows = migration.rows(table, again=True)
        self.run_id = str(uuid.uuid4())
        output = next(each for each in table.table.outputs if each.name == writable.output)
        self.routes = [
            route(table.table, output, writable.elements, name, migration.catalogue) for name in writable.columns
        ]

    async def edits(self, target: Target | None, prefer: str | None) -> AsyncIterator[tuple[list[Edit], int]]:
        """Page by page, with the number of resources that were looked at."""
        async for states in self._pages():
            keys = {(state["resource_type"], state["resource_id"]): state for state in states}
            versions = await self.migration.sink.repository.several(keys)
            changed = [(state, versions.get(key)) for key, state in keys.items()]
            yield (
                [
                    await self._edit(state, version, target, prefer)
                    for state, version in changed
                    if version is None or version.version_id != state["resource_version"]
                ],
                len(states),
            )

    async def _pages(self) -> AsyncIterator[list[State]]:
        page: list[State] = []
        mapping = self.table.table
        async for state in self.migration.sink.states.of_output(mapping.source, mapping.table, self.writable.output):
            page.append(state)
            if len(page) == PAGE:
                yield page
                page = []
        yield page

    async def _edit(self, state: State, version: Version | None, target: Target | None, prefer: str | None) -> Edit:
        status, columns, reason = await self._judged(state, version, target, prefer)
        if target and version and status in (WRITTEN, SETTLED):
            await self._settle(state, version)
        elif target and reason:
            kept = {"status": status, "reason": reason, "version": version.version_id if version else None}
            await self.migration.sink.states.save([{**state, "writeback": kept}])
        resource = f"{state['resource_type']}/{state['resource_id']}"
        return Edit(self.table.table.table, state["source_pk"], resource, status, columns, reason)

    async def _judged(
        self, state: State, version: Version | None, target: Target | None, prefer: str | None
    ) -> tuple[str, tuple[str, ...], str | None]:
        """The status of a change, the columns it is written into, and why it is not."""
        if version is None:
            return REFUSED, (), "The resource was deleted; rows are not."
        found = await asyncio.to_thread(read, self.rows, self.table.table, state["source_pk"])
        if found is None:
            return CONFLICT, (), "The row is gone from the source."
        base, current = await self._base(state), version.resource()
        row, related = found
        names = edited(base, current)
        before = self.rows.anew(row, related)
        if not self._unmet(names, current, before):
            return SETTLED, (), None
        if self._has_changed(state, before) and prefer != SERVER:
            if prefer == SOURCE:
                return SETTLED, (), "The row has changed as well, and holds."
            return CONFLICT, (), "The row has changed as well since it was mapped."
        if before.locked:
            return REFUSED, (), "The row is locked."
        try:
            changes = self._changes(base, current)
        except NoWayBack as fault:
            return REFUSED, (), str(fault)
        return await self._write(row, related, changes, names, current, target)

    async def _write(
        self,
        row: Row,
        related: dict[str, Any],
        changes: dict[str, Any],
        names: Sequence[str],
        current: Resource,
        target: Target | None,
    ) -> tuple[str, tuple[str, ...], str | None]:
        """Proven first: the row that would be there is mapped, and must say what the resource says."""
        mapping = self.table.table
        seen = dict(zip(mapping.columns, row, strict=True))
        after = self.rows.anew(tuple({**seen, **changes}.values()), related)
        left = self._unmet(names, current, after)
        if left:
            return REFUSED, (), f"No writable column says what was changed of {', '.join(left)}."
        if target is None:
            return PENDING, tuple(changes), None
        check = self.writable.check
        at = touched(mapping.columns[check].name, seen[check], self.migration.context.zone)
        try:
            done = await asyncio.to_thread(
                target.update, mapping, seen, {**changes, **({} if at is None else {check: at})}, check
            )
        except SQLAlchemyError as fault:
            return REFUSED, (), f"The database refuses it: {fault.__class__.__name__}."
        return (WRITTEN, tuple(changes), None) if done else (CONFLICT, (), "The row was changed just now.")

    def _changes(self, base: Resource, current: Resource) -> dict[str, Any]:
        """What the columns have to hold where the resource does not say what it said."""
        changed = [each for each in self.routes if each.said(base) != each.said(current)]
        return {each.column: each.value(current) for each in changed}

    def _unmet(self, names: Sequence[str], current: Resource, outcome: Outcome) -> tuple[str, ...]:
        """All of them where the row gives no such resource."""
        drafts = [each for each in outcome.drafts if each.output == self.writable.output]
        return unmet(names, current, drafts[0].resource) if drafts else tuple(names)

    def _has_changed(self, state: State, row: Outcome) -> bool:
        """By the time of change where rows have one, else by what they say."""
        if self.table.table.watermark:
            return bool(row.changed_at != state["source_updated_at"])
        return bool(row.hash != state["source_hash"])

    async def _base(self, state: State) -> Resource:
        """The version that the mapping has written."""
        repository = self.migration.sink.repository
        version = await repository.at(state["resource_type"], state["resource_id"], str(state["resource_version"]))
        return version.resource()

    async def _settle(self, state: State, version: Version) -> None:
        """The version counts as the row's own; what else follows from the row is mapped as in any run."""
        migration = self.migration
        await migration.sink.states.save([{**state, "resource_version": version.version_id}])
        page = await asyncio.to_thread(migration.source.rows, self.table.table, [state["source_pk"]])
        outcomes = await self.rows.outcomes(page)
        await migration.sink.store(self.table, outcomes, self.run_id, TableReport(self.table.table.table))
