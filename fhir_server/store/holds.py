"""Legal holds: what may be neither deleted nor destroyed until somebody releases it.

A hold is a record of the feature `retention`, as are the days until which legacy systems keep a record and the rules
that a tenant has added. Nothing of a hold is ever removed: one that was released says when, by whom and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from fhir_server.fhir import retention
from fhir_server.fhir.outcome import conflict, error, not_found
from fhir_server.fhir.primitives import MILLISECOND, interval_of
from fhir_server.fhir.resource import instant
from fhir_server.store.database import Database, Session
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.ids import uuid7
from fhir_server.store.layout import Document, Filter, key
from fhir_server.store.records import Records
from fhir_server.store.tenants import Tenant

FEATURE = "retention"
LEGAL, SOURCE, RULE = "legal", "hold", "rule"
"""Kinds: a hold, a day that the source of a record names, and a rule of the tenant's own."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Hold:
    """`concerned` is the subject and the patients in whose compartments it was when the hold was placed."""

    name: str
    subject: str
    concerned: tuple[str, ...]
    reason: str
    placed_by: str
    placed: str
    released: str | None = None
    released_by: str | None = None
    release_reason: str | None = None

    @property
    def active(self) -> bool:
        return self.released is None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is recorded for some subjects: a hold, the latest day of a source, and the rules of the tenant."""

    hold: Hold | None
    until: date | None
    rules: tuple[retention.Rule, ...]


def _now() -> datetime:
    return datetime.now(UTC)


class Holds:
    """Those of all tenants."""

    def __init__(self, of: Callable[[Tenant], Database], clock: Clock = _now) -> None:
        self._of = of
        self._clock = clock

    async def refusal(self, tenant: Tenant, patient_id: str) -> str | None:
        """Why the record of a patient may not be destroyed; None where it may be: no hold, and kept long enough."""
        records = Records(self._of(tenant), tenant)
        person = await records.person(f"Patient/{patient_id}")
        standing = await self.standing(tenant, person)
        if standing.hold:
            return _said(standing.hold)
        facts = await records.facts(person)
        if not facts:
            return None
        kept = retention.longest(list(facts.values()), (*retention.shipped(), *standing.rules), standing.until)
        if kept.is_due(self._clock().date()):
            return None
        until = f"until {kept.until}" if kept.until else "without an end"
        return f"The record of Patient/{patient_id} is to be kept {until}: {kept.reason}."

    async def on(self, tenant: Tenant, subjects: Iterable[str]) -> Hold | None:
        """A hold on one of these: a resource, or a patient in whose compartment it is."""
        return await held(self._of(tenant), None, tenant.name, subjects)

    async def standing(self, tenant: Tenant, subjects: Iterable[str]) -> Standing:
        """With one query: what stands in the way of destroying these."""
        about = {"kind": {"$in": [LEGAL, SOURCE]}, "subject": {"$in": list(subjects)}}
        found: Document = {**_every(tenant.name), "$or": [about, {"kind": RULE}]}
        with mongo_errors:
            records = await self._of(tenant).features.find(found).to_list()
        return standing(records)

    async def all(self, tenant: Tenant) -> list[Document]:
        """Every record of the feature, for whoever looks at all patients; see `standing`."""
        with mongo_errors:
            return await self._of(tenant).features.find(_every(tenant.name)).to_list()

    async def listed(self, tenant: Tenant, *, released: bool = False) -> list[Hold]:
        """Holds in force, or also those that were released, oldest first."""
        found = {**_every(tenant.name), "kind": LEGAL}
        with mongo_errors:
            documents = await self._of(tenant).features.find(found).sort([("id", 1)]).to_list()
        return [each for each in map(_hold, documents) if released or each.active]

    async def place(self, tenant: Tenant, subject: str, reason: str, by: str) -> Hold:
        """A resource of any type; nothing of a patient's compartment can go while there is a hold on the Patient."""
        resource_type, _, resource_id = subject.partition("/")
        patients = await Records(self._of(tenant), tenant).compartments(resource_type, resource_id)
        if patients is None:
            raise not_found(resource_type, resource_id)
        placed = Hold(uuid7(), subject, tuple(dict.fromkeys([subject, *patients])), reason, by, instant(self._clock()))
        with mongo_writes:
            await self._of(tenant).features.insert_one(_document(tenant.name, placed))
        return placed

    async def release(self, tenant: Tenant, name: str, reason: str, by: str) -> Hold:
        """409 where that was done before."""
        change = {"active": False, "released": instant(self._clock()), "released_by": by, "release_reason": reason}
        found = {"_id": _key(tenant.name, name)}
        with mongo_writes:
            done = await self._of(tenant).features.update_one({**found, "active": True}, {"$set": change})
            document = await self._of(tenant).features.find_one(found)
        if document is None:
            raise not_found("hold", name)
        if not done.matched_count:
            raise conflict(f"The hold {name} was released on {document['released']} by {document['released_by']}.")
        return _hold(document)


async def held(database: Database, session: Session | None, tenant: str, subjects: Iterable[str]) -> Hold | None:
    """With one query that an index answers."""
    named = {"$in": list(subjects)}
    found = {**_every(tenant), "kind": LEGAL, "subject": named, "on": named, "active": True}
    with mongo_errors:
        document = await database.features.find_one(found, hint="subject", session=session)
    return _hold(document) if document else None


async def refuse_held(database: Database, session: Session | None, document: Mapping[str, Any]) -> None:
    """409 for the deletion of what is under hold, itself or with the record of a patient."""
    hold = await held(database, session, document["t"], [f"{document['rt']}/{document['id']}", *document["cmp"]])
    if hold is not None:
        raise error("business-rule", f"{_said(hold)} It cannot be deleted until the hold is released.", status=409)


def standing(records: Iterable[Mapping[str, Any]]) -> Standing:
    """What records of the feature say together."""
    listed = list(records)
    held = next((each for each in listed if each["kind"] == LEGAL and each["active"]), None)
    days = [_last_day(each["until"]) for each in listed if each["kind"] == SOURCE]
    rules = tuple(retention.read(each["rule"]) for each in listed if each["kind"] == RULE)
    return Standing(_hold(held) if held else None, max(days, default=None), rules)


def _last_day(text: str) -> date:
    """Of the day, month or year that a source names; what cannot be read is never over."""
    try:
        high = interval_of(text).high
    except ValueError:
        return date.max
    return date.max if high is None else (high - MILLISECOND).date()


def _said(hold: Hold) -> str:
    return f"{hold.subject} is under the legal hold {hold.name} since {hold.placed[:10]}."


def _every(tenant: str) -> Filter:
    return {"tenant_id": tenant, "feature": FEATURE}


def _key(tenant: str, name: str) -> str:
    return key(tenant, f"{FEATURE}/{LEGAL}", name)


def _document(tenant: str, hold: Hold) -> Document:
    """`on` is what the hold is on; `subject` lists the patients concerned too: one index finds it by any of them."""
    about = {"kind": LEGAL, "id": hold.name, "on": hold.subject, "subject": [*hold.concerned], "active": True}
    placed = {"reason": hold.reason, "placed_by": hold.placed_by, "placed": hold.placed}
    return {"_id": _key(tenant, hold.name), **_every(tenant), **about, **placed}


def _hold(document: Mapping[str, Any]) -> Hold:
    return Hold(
        document["id"],
        document["on"],
        tuple(document["subject"]),
        document["reason"],
        document["placed_by"],
        document["placed"],
        document.get("released"),
        document.get("released_by"),
        document.get("release_reason"),
    )
