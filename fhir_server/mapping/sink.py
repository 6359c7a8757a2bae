"""Stores what rows became: resources in bulk, deletions, sealed snapshots of bad rows, and a state for each output."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.fhir.resource import Resource
from fhir_server.mapping import snapshot
from fhir_server.mapping.codings import concepts
from fhir_server.mapping.compile import Compiled, Draft
from fhir_server.mapping.edits import edited, unmet
from fhir_server.mapping.fault import ERROR, WARNING, Finding, is_error
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.lineage import declared
from fhir_server.mapping.model import Output
from fhir_server.mapping.outcome import (
    DELETED,
    MAPPED,
    QUARANTINED,
    SKIPPED,
    UNCHANGED,
    WITH_WARNINGS,
    Outcome,
    TableReport,
)
from fhir_server.mapping.provenance import OFF, Origins, Stored, changes, mode
from fhir_server.mapping.rows import WHOLE_ROW, inactive
from fhir_server.store.connection import Store
from fhir_server.store.features import FeatureRecords
from fhir_server.store.mapping_runs import MappingRuns
from fhir_server.store.mappings import MappingStates
from fhir_server.store.shredded import Shredded
from fhir_server.store.tenants import Tenant

State = dict[str, Any]
Written = tuple[Resource, int, bool]
"""What was put, its version, and whether it is new or has changed."""

ORGANIZATION = "Organization"
SHREDDED = "The record of the patient was destroyed."
INDEX = re.compile(r"\[[^]]*\]")
FHIR_VERSION = "4.0.1"


class Sink:
    """The store of one tenant, as the mapping engine writes to it."""

    writes = True
    """Whether anything is kept of what is stored here."""

    def __init__(self, store: Store, tenant: Tenant, secret: bytes, origins: Origins):
        self.tenant = tenant.name
        self.repository = store.repository(tenant, Caller.system(tenant.name, "migration"))
        self.states = MappingStates(store, tenant)
        self.records = FeatureRecords(store, tenant)
        self.runs = MappingRuns(store, tenant)
        self._shredded = Shredded(store, tenant)
        self.origins = origins
        self._declared: set[str] = set()
        self._told: dict[str, str | None] = {}
        """Tables whose origins are told, with the organization that passes them on."""
        self.snapshot_key = snapshot.row_key(secret)
        self._local = f"{origins.base}/"

    async def store(self, table: Compiled, outcomes: Sequence[Outcome], run_id: str, report: TableReport) -> None:
        """Resources first, states last: what is written down has happened."""
        pending = [outcome for outcome in outcomes if outcome.status != UNCHANGED]
        await self._spare(table, pending)
        await self._leave_out(pending)
        versions, changed = await self._put(pending, report)
        gone = await self._delete(pending, report)
        await self._declare(table)
        await self._tell(table, pending, Stored(versions, frozenset(changed), gone), run_id, report)
        report.concepts.update(
            found for each in pending for draft in each.drafts for found in concepts(draft.resource, self._local)
        )
        snapshots = [self._snapshot(table, each) for each in pending if each.status == QUARANTINED]
        await self._write_down(snapshots, [self._states(table, each, versions, run_id) for each in pending])

    async def _spare(self, table: Compiled, outcomes: Sequence[Outcome]) -> None:
        """A change that waits to go back into its row is not written over: the row waits in quarantine."""
        waiting = {
            (draft.resource["resourceType"], draft.resource["id"]): (outcome, draft)
            for outcome in outcomes
            for draft in outcome.drafts
            if draft.output == table.writable and draft.output in outcome.known
        }
        for key, version in (await self.repository.several(waiting) if waiting else {}).items():
            outcome, draft = waiting[key]
            written = outcome.known[draft.output]["resource_version"]
            if version.version_id == written:
                continue
            base, current = await self.repository.at(*key, str(written)), version.resource()
            left = unmet(edited(base.resource(), current), current, draft.resource)
            if left:
                message = f"{draft.output} was changed here as well: {', '.join(left)}. See migrate writeback."
                outcome.findings.append(Finding("CHANGED_IN_BOTH", ERROR, "", draft.output, message))
                outcome.status, outcome.drafts, outcome.retired = QUARANTINED, [], []

    async def _leave_out(self, outcomes: Sequence[Outcome]) -> None:
        """A row about a patient who was shredded is skipped, and nothing of it is kept."""
        drafts = [draft.resource for each in outcomes for draft in each.drafts]
        gone = await self._shredded.among(each for each in drafts if not is_feature(each["resourceType"]))
        for outcome in outcomes if gone else ():
            if any((each.resource["resourceType"], each.resource["id"]) in gone for each in outcome.drafts):
                outcome.findings = [Finding("SHREDDED", WARNING, "", "Patient", SHREDDED)]
                outcome.status, outcome.drafts, outcome.retired = SKIPPED, [], []

    async def _write_down(self, snapshots: Sequence[State], states: Iterable[Sequence[State]]) -> None:
        """What belongs to values and groups first: a row that is written down has given them already."""
        found = [state for each in states for state in each]
        await self.states.keep_snapshots(snapshots)
        for is_own in (False, True):
            some = [each for each in found if each["source_pk"].startswith("~") is not is_own]
            await self.states.save([each for each in some if each["attempts"] > 1])
            await self.states.add([each for each in some if each["attempts"] == 1])

    async def _declare(self, table: Compiled) -> None:
        """What the mapping says about columns, so that it can be asked when it has long been another."""
        if table.table.name not in self._declared:
            outputs = [(output.name, _columns(output)) for output in table.table.outputs]
            await self.repository.lineage.keep(table.table.name, table.table.version, outputs)
            self._declared.add(table.table.name)

    async def _tell(
        self, table: Compiled, outcomes: Sequence[Outcome], stored: Stored, run_id: str, report: TableReport
    ) -> None:
        """Provenance of what is new, and of what a run that was killed has stored and not told."""
        found = list(changes(outcomes, stored)) if mode(table.table, self.origins.asked) != OFF else []
        if not found:
            return
        told = self.origins.of(table.table, found, run_id, await self._organization(table, report))
        repeated = [("Provenance", each["id"]) for change, each in told if not change.is_new]
        there = await self.repository.existing(repeated)
        await self._count([each for _, each in told if ("Provenance", each["id"]) not in there], report)

    async def _organization(self, table: Compiled, report: TableReport) -> str | None:
        """Who passes the rows on; the mapping engine is stored before its first Provenance."""
        if not self._told:
            await self._count([self.origins.device], report)
        name = table.table.table
        if name not in self._told:
            source = table.table.source
            found = await self.states.living(source, table.organization, ORGANIZATION) if table.organization else []
            self._told[name] = f"{ORGANIZATION}/{found[0]}" if len(found) == 1 else None
        return self._told[name]

    async def _count(self, resources: Sequence[Resource], report: TableReport) -> None:
        for written, _, is_new in await self._put_resources(resources):
            if is_new:
                report.resources[written["resourceType"]] += 1

    async def _put(self, outcomes: Sequence[Outcome], report: TableReport) -> tuple[dict[str, int], set[str]]:
        """Versions by resource id, and the ids of what is new.

        A row whose resources were all there already counts as unchanged.
        """
        drafts = [draft.resource for outcome in outcomes for draft in outcome.drafts]
        versions: dict[str, int] = {}
        changed: set[str] = set()
        resources, records = await asyncio.gather(self._put_resources(drafts), self._put_records(drafts))
        await self.repository.attestations.finish(_locked(outcomes))
        for written, version, is_new in [*resources, *records]:
            versions[written["id"]] = version
            if is_new:
                changed.add(written["id"])
                report.resources[written["resourceType"]] += 1
        for outcome in outcomes:
            same = outcome.known and outcome.drafts and not outcome.retired
            if (
                same
                and outcome.status in (MAPPED, WITH_WARNINGS)
                and changed.isdisjoint(d.resource["id"] for d in outcome.drafts)
            ):
                outcome.status = UNCHANGED
        return versions, changed

    async def _put_resources(self, drafts: Iterable[Resource]) -> Iterable[Written]:
        resources = [each for each in drafts if not is_feature(each["resourceType"])]
        puts = await self.repository.put_many(resources)
        return [(each, put.version.version_id, put.changed) for each, put in zip(resources, puts, strict=True)]

    async def _put_records(self, drafts: Iterable[Resource]) -> Iterable[Written]:
        records = [each for each in drafts if is_feature(each["resourceType"])]
        changed = await self.records.put(records)
        return [(each, 1, each["id"] in changed) for each in records]

    async def _delete(self, outcomes: Sequence[Outcome], report: TableReport) -> dict[str, int]:
        """The last versions of the resources that are retired, by id."""
        gone: dict[str, int] = {}
        for outcome in outcomes:
            for state in outcome.retired:
                resource_type, resource_id = state["resource_type"], state["resource_id"]
                remains = inactive(resource_type) if outcome.is_removed else None
                if remains:
                    version = await self._deactivate(resource_type, resource_id, *remains)
                else:
                    version = await self._deleted(resource_type, resource_id)
                if version:
                    gone[resource_id] = version
                    report.resources[resource_type if remains else f"{resource_type} (deleted)"] += 1
        return gone

    async def _deleted(self, resource_type: str, resource_id: str) -> int | None:
        """The version that says so; None where there was nothing to delete."""
        if is_feature(resource_type):
            return 1 if await self.records.delete(resource_type, resource_id) else None
        version = await self.repository.delete(resource_type, resource_id, mirrored=True)
        return version.version_id if version else None

    async def _deactivate(self, resource_type: str, resource_id: str, element: str, value: Any) -> int | None:
        """A row that is gone is treated like one that says it is deleted."""
        if is_feature(resource_type):
            await self.records.set(resource_type, resource_id, element, value)
            return 1
        living = await self.repository.several([(resource_type, resource_id)])
        puts = await self.repository.put_many([{**each.resource(), element: value} for each in living.values()])
        return puts[0].version.version_id if puts else None

    def _snapshot(self, table: Compiled, outcome: Outcome) -> State:
        sealed = snapshot.seal(
            self.snapshot_key, self.tenant, table.table.name, outcome.key, list(table.table.columns), outcome.row
        )
        return {**self._about(table, outcome.key), "row": sealed, "source_hash": outcome.hash}

    def _about(self, table: Compiled, key: str) -> State:
        return {"source_system": table.table.source, "source_table": table.table.table, "source_pk": key}

    def _states(self, table: Compiled, outcome: Outcome, versions: dict[str, int], run_id: str) -> Sequence[State]:
        """Each state of a row says how many there are: where some are missing, writing them down was cut short."""
        found = list(self._each_state(table, outcome, versions, run_id))
        if outcome.is_ahead:
            return [state for state in found if state["source_pk"] != outcome.key]
        own = sum(state["source_pk"] == outcome.key for state in found)
        return [{**state, "states": own} if state["source_pk"] == outcome.key else state for state in found]

    def _each_state(self, table: Compiled, outcome: Outcome, versions: dict[str, int], run_id: str) -> Iterator[State]:
        """A state for each output, for what is retired, and for a row that gives nothing."""
        now = datetime.now(UTC)
        errors = [finding.as_json() for finding in outcome.findings]
        common = {
            "fhir_version": FHIR_VERSION,
            "mapping_name": table.table.name,
            "mapping_version": table.table.version,
            "source_hash": outcome.hash,
            "source_updated_at": outcome.changed_at,
            "merges": outcome.merges,
            "last_mapped_at": now,
            "run_id": run_id,
            **({"locked": outcome.locked} if outcome.locked and outcome.status != QUARANTINED else {}),
        }
        told: set[str] = set()
        for draft in outcome.drafts:
            told.add(draft.output if draft.key == outcome.key else "")
            yield self._state(table, outcome, draft, versions, errors, common)
        for state in outcome.retired:
            told.add(state["output"])
            yield {**state, **common, "status": DELETED, "errors": [], "attempts": state["attempts"] + 1}
        for name, state in outcome.known.items():
            if name not in told and name != WHOLE_ROW and outcome.status != QUARANTINED:
                yield {**state, **common}
        if WHOLE_ROW in outcome.known or not told - {""}:
            yield self._whole_row(table, outcome, errors, common)

    def _state(
        self,
        table: Compiled,
        outcome: Outcome,
        draft: Draft,
        versions: dict[str, int],
        errors: list[Any],
        common: State,
    ) -> State:
        resource = draft.resource
        before = outcome.known.get(draft.output, {}) if draft.key == outcome.key else {}
        mapped = WITH_WARNINGS if outcome.findings else MAPPED
        return {
            **self._about(table, draft.key),
            "output": draft.output,
            "resource_type": resource["resourceType"],
            "resource_id": resource["id"],
            "resource_version": versions[resource["id"]],
            **common,
            "status": DELETED if outcome.status == DELETED else mapped,
            "errors": [each for each in errors if each["path"].startswith(resource["resourceType"])],
            "attempts": before.get("attempts", 0) + 1,
            "first_mapped_at": before.get("first_mapped_at", common["last_mapped_at"]),
        }

    def _whole_row(self, table: Compiled, outcome: Outcome, errors: list[Any], common: State) -> State:
        """The row itself: quarantined, skipped, or no longer either."""
        before = outcome.known.get(WHOLE_ROW, {})
        status = outcome.status if outcome.status in (QUARANTINED, SKIPPED, DELETED) else MAPPED
        return {
            **self._about(table, outcome.key),
            "output": WHOLE_ROW,
            **common,
            "status": status,
            "errors": [each for each, found in zip(errors, outcome.findings, strict=True) if is_error(found)],
            "attempts": before.get("attempts", 0) + 1,
            "first_mapped_at": before.get("first_mapped_at", common["last_mapped_at"]),
        }


def _columns(output: Output) -> list[dict[str, Any]]:
    """The elements of an output that columns give, as they are kept beside the resources."""
    return [
        {"path": INDEX.sub("", each.path), "columns": list(each.columns), "converters": list(each.converters)}
        for each in declared(output)
        if each.columns
    ]


def _locked(outcomes: Iterable[Outcome]) -> list[tuple[str, str]]:
    """What comes from rows that may not change."""
    drafts = [draft.resource for outcome in outcomes if outcome.locked for draft in outcome.drafts]
    return [(each["resourceType"], each["id"]) for each in drafts if not is_feature(each["resourceType"])]
