"""A page of rows as outcomes: hashed, compared with what is known, mapped and validated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from fhir_server.fhir import validate
from fhir_server.fhir.outcome import FhirError
from fhir_server.mapping.compile import Compiled, Draft
from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_list import member_of
from fhir_server.mapping.convert_number import is_true
from fhir_server.mapping.fault import ERROR, Finding
from fhir_server.mapping.features import described, is_feature
from fhir_server.mapping.identity import key_text, merged_key
from fhir_server.mapping.metric import metric
from fhir_server.mapping.outcome import DELETED, QUARANTINED, SKIPPED, UNCHANGED, WITH_WARNINGS, Outcome
from fhir_server.mapping.snapshot import row_hash
from fhir_server.mapping.source import Row, Source
from fhir_server.mapping.tenancy import TENANT, is_for_all
from fhir_server.mapping.text import text

WHOLE_ROW = "*"
"""The output name under which a row is written down that gives no output."""
EVERYONE = "*"
"""Whose a row is that several tenants point to, where the source is read as one."""
ACTIVE = ("active", False)
INACTIVE: Mapping[str, tuple[str, Any]] = {
    **dict.fromkeys(
        (
            "Patient",
            "Practitioner",
            "PractitionerRole",
            "Organization",
            "RelatedPerson",
            "Schedule",
            "HealthcareService",
        ),
        ACTIVE,
    ),
    "Location": ("status", "inactive"),
    "Account": ("status", "inactive"),
}
"""What a deleted row leaves: a resource that says so, where its type can; all others are deleted."""

States = dict[str, dict[str, dict[str, Any]]]


class StateStore(Protocol):
    async def states(self, source: str, table: str, pks: Iterable[str]) -> dict[tuple[str, str], dict[str, Any]]: ...


class Rows:
    """The rows of one table."""

    def __init__(
        self,
        table: Compiled,
        source: Source,
        states: StateStore,
        context: Context,
        tenant: str | None,
        *,
        again: bool = False,
    ):
        self.again = again
        """Rows in quarantine are mapped although they have not changed."""
        self.table, self.source, self.states, self.context = table, source, states, context
        self.tenant = tenant
        names = list(table.table.columns)
        steering = {*table.table.watermark, *table.table.drop}
        self.names = names
        self.hashed = [at for at, name in enumerate(names) if name not in steering]
        self.at = {name: at for at, name in enumerate(names)}
        self.watermark_at = [names.index(name) for name in table.table.watermark]
        self.merge_at = {name: names.index(merge.by) for name, merge in table.table.merges.items()}
        self.written: set[tuple[str, str]] = set()
        """Natural outputs of this run."""

    async def outcomes(self, page: Sequence[Row]) -> list[Outcome]:
        """One outcome for each row, then one for each group of rows that the page touches."""
        related = await asyncio.to_thread(self.source.related, self.table.table, page)
        keys = [self.table.key(row) for row in page]
        known = await self._known(keys)
        outcomes = [self._row(*each, known) for each in zip(keys, page, related, strict=True)]
        await self._natural(outcomes)
        groups = [group for merge in self.merge_at for group in await self._groups(merge, outcomes)]
        return [*outcomes, *groups]

    async def naturals(self, page: Sequence[Row]) -> list[Outcome]:
        """Of the rows that are first to have a value, what belongs to the value.

        Done before several processes share a table, so that the same row names a payer as when one process reads it.
        """
        related = await asyncio.to_thread(self.source.related, self.table.table, page)
        values = [self.table.naturals(*each, self.context) for each in zip(page, related, strict=True)]
        left = {each for found in values for each in found} - self.written
        states = await self._known({key for _, key in left})
        self.written |= {(name, key) for name, key in left if self._is_current(states.get(key, {}).get(name))}
        first = [at for at, found in enumerate(values) if not found <= self.written]
        known = await self._known([self.table.key(page[at]) for at in first])
        outcomes = [self._row(self.table.key(page[at]), page[at], related[at], known) for at in first]
        await self._natural(outcomes)
        for outcome in outcomes:
            outcome.drafts = [draft for draft in outcome.drafts if draft.key != outcome.key]
            outcome.retired, outcome.is_ahead = [], True
        return [outcome for outcome in outcomes if outcome.drafts]

    async def removed(self, keys: Sequence[str]) -> list[Outcome]:
        """Outcomes for rows that are no longer there, and for the groups that they belonged to."""
        known = await self._known(keys)
        nothing = (None,) * len(self.names)
        outcomes = [
            Outcome(key, "", nothing, states, status=DELETED, retired=living, is_removed=True)
            for key, states in known.items()
            if (living := [state for state in states.values() if _is_living(state)])
        ]
        groups = [group for merge in self.merge_at for group in await self._groups(merge, outcomes)]
        return [*outcomes, *groups]

    def anew(self, row: Row, related: dict[str, Any]) -> Outcome:
        """What a row becomes, whatever is known of it."""
        return self._row(self.table.key(row), row, related, {})

    async def _known(self, keys: Iterable[str]) -> States:
        found: States = {}
        for (pk, output), state in (
            await self.states.states(self.table.table.source, self.table.table.table, keys)
        ).items():
            found.setdefault(pk, {})[output] = state
        return found

    def _row(self, key: str, row: Row, related: dict[str, Any], known: States) -> Outcome:
        outcome = Outcome(key, self._hash([row], [related]), row, known.get(key, {}))
        outcome.changed_at = self._changed_at(row)
        outcome.merges = {name: value for name in self.merge_at if (value := self._merged_by(name, row)) is not None}
        if self._is_known(outcome):
            outcome.status = UNCHANGED
            return outcome
        self._map(outcome, related)
        return self._judged(outcome)

    def _map(self, outcome: Outcome, related: dict[str, Any]) -> None:
        row = outcome.row
        owner = self._owner(row, related)
        if self.table.table.tenant and owner is None:
            column = self.table.table.tenant[0]
            outcome.findings.append(self._finding("TENANT_UNRESOLVED", column, "The row has no tenant."))
            return
        foreign = self._foreign(owner, related)
        if foreign:
            outcome.findings.append(
                self._finding("CROSS_TENANT_REF", foreign, f"'{foreign}' is a row of another tenant.")
            )
            return
        outcome.locked = self._locked(row, related)
        if outcome.locked and any(
            state.get("locked", outcome.locked) != outcome.locked for state in outcome.known.values()
        ):
            outcome.findings.append(self._finding("LOCKED_ROW_CHANGED", "", "The row is locked and has changed."))
            return
        outcome.amendment = self._amendment(outcome, related)
        outcome.change = self.table.change(row, related, self.context)
        outcome.drafts = self.table.drafts(row, outcome.key, related, self.context, outcome.findings)
        if self.table.deleted(row, related, self.context):
            own = [each for each in outcome.drafts if each.output not in self.table.natural]
            outcome.drafts = list(_inactive(own))
            outcome.status = DELETED if outcome.drafts or outcome.known else SKIPPED

    def _amendment(self, outcome: Outcome, related: dict[str, Any]) -> str | None:
        """Why a row that was locked is other than it was."""
        lock = self.table.table.lock
        if not lock or not lock.reason or not outcome.known:
            return None
        if not self.table.amended(outcome.row, related, self.context):
            return None
        return text(outcome.row[self.at[lock.reason.name]])

    def _judged(self, outcome: Outcome) -> Outcome:
        """Validates the drafts and settles the status; a row with an error gives nothing."""
        if self.table.metric:
            outcome.drafts = [Draft(draft.output, draft.key, metric(draft.resource)) for draft in outcome.drafts]
        for draft in outcome.drafts:
            if not is_feature(draft.resource["resourceType"]):
                _validate(draft, outcome)
        if outcome.failed:
            outcome.status, outcome.drafts = QUARANTINED, []
            return outcome
        names = {draft.output for draft in outcome.drafts}
        outcome.retired = [state for name, state in outcome.known.items() if name not in names and _is_living(state)]
        if outcome.status not in (DELETED, SKIPPED):
            if not outcome.drafts and not outcome.retired:
                outcome.status = SKIPPED
            elif outcome.findings:
                outcome.status = WITH_WARNINGS
        return outcome

    async def _natural(self, outcomes: Sequence[Outcome]) -> None:
        """Of the outputs that belong to a value, the first row writes what they hold; the others leave it as it is."""
        wanted: dict[tuple[str, str], tuple[Outcome, Draft]] = {}
        for outcome in outcomes:
            for draft in [each for each in outcome.drafts if each.output in self.table.natural]:
                outcome.drafts.remove(draft)
                if (draft.output, draft.key) not in self.written:
                    wanted.setdefault((draft.output, draft.key), (outcome, draft))
        if not wanted:
            return
        known = await self._known({key for _, key in wanted})
        for (name, key), (outcome, draft) in wanted.items():
            self.written.add((name, key))
            if not self._is_current(known.get(key, {}).get(name)):
                outcome.drafts.append(draft)

    def value_of(self, merge: str, row: Sequence[Any]) -> Any:
        """What a row is merged by; None where it is merged with none."""
        return self._raw_value(merge, row)

    def _raw_value(self, merge: str, row: Sequence[Any]) -> Any:
        """What a row is merged by, as the source has it."""
        found = self._merged_by(merge, row)
        return found if found is None or self.table.table.merges[merge].field else row[self.merge_at[merge]]

    def _merged_by(self, merge: str, row: Sequence[Any]) -> str | None:
        return member_of(row[self.merge_at[merge]], self.table.table.merges[merge].field)

    def _is_current(self, state: Mapping[str, Any] | None) -> bool:
        return state is not None and state["mapping_version"] == self.table.table.version

    async def _groups(self, merge: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The groups whose rows have changed, each with all of its rows."""
        touched = [outcome for outcome in outcomes if outcome.status not in (UNCHANGED, QUARANTINED)]
        values = {value for outcome in touched if (value := self._raw_value(merge, outcome.row)) is not None}
        values |= {value for outcome in touched for value in _left(merge, outcome)}
        if not values:
            return []
        table = self.table.table
        grouped = await asyncio.to_thread(self.source.merged, table, table.merges[merge], values, self.tenant)
        flat = [row for value in values for row in grouped.get(value, ())]
        related = await asyncio.to_thread(self.source.related, table, flat)
        by_row = iter(related)
        known = await self._known([merged_key(value) for value in values])
        return [
            self._group(merge, value, rows, [next(by_row) for _ in rows], known)
            for value in values
            for rows in [grouped.get(value, [])]
        ]

    def _group(
        self, merge: str, value: Any, rows: Sequence[Row], related: list[dict[str, Any]], known: States
    ) -> Outcome:
        key = merged_key(value)
        outcome = Outcome(key, self._hash(rows, related), rows[0] if rows else (), known.get(key, {}), is_group=True)
        if self._is_known(outcome):
            outcome.status = UNCHANGED
            return outcome
        if rows:
            outcome.row, whole = self.together(merge, rows, related)
            outcome.changed_at = self._changed_at(outcome.row)
            outcome.change = self.table.change(outcome.row, whole, self.context)
            outcome.drafts = self.table.merged(merge, outcome.row, key, whole, self.context, outcome.findings)
        return self._judged(outcome)

    def together(
        self, merge: str, rows: Sequence[Row], related: Sequence[dict[str, Any]]
    ) -> tuple[Row, dict[str, Any]]:
        """The rows of a group as one row, and what is read with it: the parents, and the group as a list."""
        row, lead = self._lead(rows, related)
        return row, {**lead, merge: [self._item(*each) for each in zip(rows, related, strict=True)]}

    def _lead(self, rows: Sequence[Row], related: Sequence[dict[str, Any]]) -> tuple[Row, dict[str, Any]]:
        """One row for a group: each column says what it said last, in the order of change, nothing not counted."""
        latest = sorted(range(len(rows)), key=lambda at: (self._changed_at(rows[at]) or "", at), reverse=True)
        row = tuple(
            next((rows[at][column] for at in latest if rows[at][column] is not None), None)
            for column in range(len(self.names))
        )
        parents = {name: next((related[at][name] for at in latest if related[at][name]), None) for name in related[0]}
        return row, parents

    def _item(self, row: Row, related: Mapping[str, Any]) -> dict[str, Any]:
        """A row of a group by column name, with the columns of its parents as `parent_column`."""
        item = dict(zip(self.names, row, strict=True))
        for name, parent in self.table.table.parents.items():
            found = related[name] or {}
            item.update({f"{name}_{column}": found.get(column) for column in parent.columns})
        return item

    def _hash(self, rows: Sequence[Row], related: Sequence[Mapping[str, Any]]) -> str:
        values = [row[at] for row in rows for at in self.hashed]
        return row_hash(self.table.table.version, values, related)

    def _locked(self, row: Sequence[Any], related: Mapping[str, Any]) -> str | None:
        """Of a locked row what may not change: its own values, whatever the declaration or the rows around it say."""
        if not self.table.locked(row, related, self.context):
            return None
        return row_hash("", [row[at] for at in self.hashed], ())

    def _is_known(self, outcome: Outcome) -> bool:
        """Whether an earlier run has seen the row as it is now, with this declaration."""
        whole = outcome.known.get(WHOLE_ROW)
        if whole and whole["status"] == QUARANTINED:
            return bool(whole["source_hash"] == outcome.hash) and not self.again
        count = len(outcome.known)
        return bool(count) and all(
            state["source_hash"] == outcome.hash and state.get("states", count) == count
            for state in outcome.known.values()
        )

    def _changed_at(self, row: Row) -> str | None:
        return next((str(row[at]) for at in self.watermark_at if row[at] is not None), None)

    def _owner(self, row: Sequence[Any], related: Mapping[str, Any]) -> str | None:
        """Whose row it is; a row that belongs to everyone who points to it belongs to whom is read for."""
        for name in self.table.table.tenant:
            if name in self.table.table.children:
                return self.tenant or EVERYONE
            if is_for_all(self.table.table, name):
                if is_true(row[self.at[name]]):
                    return self.tenant or EVERYONE
                continue
            parent = related.get(name) or {}
            found = text(row[self.at[name]] if name in self.at else parent.get(TENANT))
            if found is not None:
                return key_text(found)
        return None

    def _foreign(self, owner: str | None, related: Mapping[str, Any]) -> str | None:
        """The column that points to a row of another tenant."""
        for name, parent in self.table.table.parents.items():
            theirs = (related[name] or {}).get(TENANT)
            if owner not in (None, EVERYONE) and theirs is not None and key_text(theirs) != owner:
                return parent.on.name
        return None

    def _finding(self, code: str, column: str, message: str) -> Finding:
        return Finding(code, ERROR, column, self.table.table.name, message)


def inactive(name: str) -> tuple[str, Any] | None:
    """The element that says a resource or record is no longer in use; None where there is none, and it is deleted."""
    if is_feature(name):
        return ACTIVE if any(each.name == "active" for each in described(name).elements[name]) else None
    return INACTIVE.get(name)


def _inactive(drafts: Iterable[Draft]) -> Iterable[Draft]:
    for draft in drafts:
        found = inactive(draft.resource["resourceType"])
        if found:
            yield Draft(draft.output, draft.key, {**draft.resource, found[0]: found[1]})


def _validate(draft: Draft, outcome: Outcome) -> None:
    """The full check of R4. Its messages may hold values, so the finding says only what is wrong where."""
    try:
        validate.check(draft.resource)
    except FhirError as fault:
        for issue in fault.issues:
            code = "INVARIANT" if issue.code == "invariant" else "TYPE_INVALID"
            path = issue.expression[0] if issue.expression else draft.output
            message = f"{draft.output} is not valid: {issue.code}."
            outcome.findings.append(Finding(code, ERROR, "", path, message))


def _is_living(state: Mapping[str, Any]) -> bool:
    return bool(state.get("resource_id")) and state["status"] != DELETED


def _left(merge: str, outcome: Outcome) -> set[str]:
    """The value by which a row belonged to a merge before."""
    before = {state.get("merges", {}).get(merge) for state in outcome.known.values()}
    return {value for value in before if value is not None and value != outcome.merges.get(merge)}
