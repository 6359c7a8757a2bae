"""retention: which records may go when, and destroying those whose time is over, with a certificate of what went.

Whatever ends a run, the next one first brings to an end what was begun.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final

from fhir_server.fhir import audit, retention
from fhir_server.fhir.audit import Agent, Event
from fhir_server.fhir.audit_kinds import happened
from fhir_server.fhir.retention import Kept, Rule
from fhir_server.store.approvals import approvers
from fhir_server.store.certificates import Certificate
from fhir_server.store.connection import Store
from fhir_server.store.holds import Hold, standing
from fhir_server.store.purge import Purge, Purged
from fhir_server.store.records import Heard, Records
from fhir_server.store.tenants import Tenant

KIND: Final = "retention"
RULE: Final = "retention/rule"
"""The kind of record that a tenant's own rule is."""
PORTION: Final = 1000
"""Persons on one certificate."""

Person = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One person, who may be several Patients, until when the record is kept, and a hold on any of it."""

    person: Person
    kept: Kept
    hold: Hold | None

    def is_due(self, today: date) -> bool:
        return self.hold is None and self.kept.is_due(today)

    def state(self, today: date) -> str:
        """`held`, `unknown` (kept without an end), `due` or `kept`."""
        if self.hold is not None:
            return "held"
        if self.kept.until is None:
            return "unknown"
        return "due" if self.kept.is_due(today) else "kept"


@dataclass(frozen=True, slots=True)
class Approval:
    """Of two different people, each of whom may sign in to the tenant; the operator runs the command and names them."""

    by: tuple[str, ...]
    operator: Agent


async def approval(store: Store, tenant: Tenant, names: Iterable[str], operator: Agent) -> Approval:
    """400 where they are not two, or one of them is nobody here."""
    found = await approvers(store.users, tenant.name, names)
    return Approval(tuple(sorted(each.username for each in found)), operator)


async def report(store: Store, tenant: Tenant, heard: Heard = lambda _: None) -> list[Line]:
    """Every person of a tenant, those first whose record may go first."""
    persons = await Records(store.of(tenant), tenant).every(heard)
    recorded = await store.holds.all(tenant)
    rules = (*retention.shipped(), *standing(recorded).rules)
    about = _about(recorded)
    lines = []
    for person, facts in persons:
        found = standing([each for name in person for each in about.get(name, ())])
        kept = retention.longest(facts, rules, found.until)
        lines.append(Line(person, kept, found.hold))
    return sorted(lines, key=lambda each: (each.kept.until or date.max, each.person))


def _about(recorded: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Records of the feature by whom they are about."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in recorded:
        subject = each.get("subject", ())
        for name in [subject] if isinstance(subject, str) else subject:
            found.setdefault(name, []).append(each)
    return found


async def run(
    store: Store, tenant: Tenant, due: Sequence[Line], approval: Approval, now: datetime, heard: Heard = lambda _: None
) -> list[Certificate]:
    """Destroys these records, portion by portion, each with its certificate."""
    purge = Purge(store.of(tenant), tenant)
    found = [await _certified(store, purge, name, approval.operator, now) for name in await purge.claims()]
    for person in await purge.unfinished():
        await purge.destroy(person, {})
    for portion in [due[at : at + PORTION] for at in range(0, len(due), PORTION)] or [()]:
        for line in portion:
            await _destroyed(store, purge, line, approval)
            heard(1)
        name = store.certificates.new_name()
        if await purge.claim(name):
            found.append(await _certified(store, purge, name, approval.operator, now))
    return found


async def _destroyed(store: Store, purge: Purge, line: Line, approval: Approval) -> None:
    """Unless a hold, or a treatment, has come since the report."""
    if await store.holds.refusal(purge.tenant, line.person[0].partition("/")[2]) is None:
        await purge.destroy(line.person, {**_reason(line.kept), "approved_by": list(approval.by)})


async def _certified(store: Store, purge: Purge, name: str, operator: Agent, now: datetime) -> Certificate:
    """Once: a certificate that was begun is issued under the name it had."""
    persons = [patient for each in await purge.claimed(name) for patient in each.person]
    await purge.sweep(persons, name)
    said = content(await purge.claimed(name)) | {"keys": await _keys_destroyed(store, purge.tenant, persons)}
    certificate = await store.certificates.issue(purge.tenant.name, KIND, said, now, name=name)
    await store.journal.record(purge.tenant.name, _event(certificate, operator))
    await purge.certified(name)
    return certificate


async def _keys_destroyed(store: Store, tenant: Tenant, patients: Sequence[str]) -> list[str]:
    """Of an encrypted tenant: what is left in backups is unreadable, and these ids are never used again."""
    if not tenant.encrypted:
        return []
    versions = store.key_versions(tenant)
    keys = [key for each in patients for key in await versions.of_patient(each.partition("/")[2])]
    await versions.destroy([each.key_id for each in keys])
    return [each.key_id for each in keys]


def _event(certificate: Certificate, operator: Agent) -> Event:
    """One for a certificate, whose name leads to all of it; each patient's trail tells that the record is gone."""
    said = certificate.content
    thing = audit.thing("Data Repository", f"certificate {certificate.name}", ("versions", str(said["versions"])))
    patients = [audit.patient(name) for each in said["records"] for name in each["person"]]
    approved = [Agent((audit.AUTHOR,), display=each) for each in said["approved_by"]]
    return happened(KIND, datetime.now(UTC), operator, *approved, entities=(thing, *patients))


def content(destroyed: Sequence[Purged]) -> dict[str, Any]:
    """What a certificate says: every person, the totals, who approved it, and one digest over all of it."""
    listed = [each.as_document() for each in destroyed if each.person or each.versions]
    resources: Counter[str] = Counter()
    for each in destroyed:
        resources.update(each.resources)
    canonical = json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()
    return {
        "approved_by": sorted({name for each in destroyed for name in each.reason.get("approved_by", ())}),
        "persons": sum(bool(each.person) for each in destroyed),
        "resources": dict(sorted(resources.items())),
        "versions": sum(each.versions for each in destroyed),
        "records": listed,
        "digest": sha256(canonical).hexdigest(),
    }


def _reason(kept: Kept) -> dict[str, Any]:
    return {"class": kept.of_class, "rule": kept.rule, "until": str(kept.until), "why": kept.reason}


def described(line: Line, today: date) -> dict[str, Any]:
    """For a program."""
    kept = {"until": line.kept.until, "class": line.kept.of_class, "rule": line.kept.rule, "reason": line.kept.reason}
    hold = {"hold": line.hold.name} if line.hold else {}
    return {"patients": line.person, "state": line.state(today), **kept, **hold}


async def rules(store: Store, tenant: Tenant) -> list[dict[str, Any]]:
    """The rules in force: those shipped, and the tenant's own."""
    own = standing(await store.holds.all(tenant)).rules
    return [_rule(each, own=False) for each in retention.shipped()] + [_rule(each, own=True) for each in own]


def _rule(rule: Rule, *, own: bool) -> dict[str, Any]:
    return asdict(rule) | {"own": own}
