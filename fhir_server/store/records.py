"""What is known of the records of patients: who is one person, when they were last treated, when anything was written.

Read from the index entries of what is in their compartments; a deletion counts with what was deleted.
https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.access.right import Right
from fhir_server.fhir import definitions, retention
from fhir_server.fhir.primitives import MILLISECOND
from fhir_server.fhir.retention import Facts
from fhir_server.search import compartment, registry
from fhir_server.search.blinding import Blinding
from fhir_server.search.clinical_dates import CLINICAL_DATES
from fhir_server.search.own import NONE
from fhir_server.search.parse import parse
from fhir_server.search.term import wide
from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import Document, Filter
from fhir_server.store.tenants import Tenant
from fhir_server.store.where import Where, both

READ = {"_id": 0, "rt": 1, "id": 1, "v": 1, "lu": 1, "del": 1, "cmp": 1, "dat": 1}
BATCH = 1000
PATIENT = "Patient"
BIRTH = "birthdate"
MARKING = ("code", "reason-code", "type", "category", "_security")
"""Search parameters whose codes put a record into a class."""

Heard = Callable[[int], None]


@dataclass(slots=True)
class _Seen:
    """One Patient, while what is in the compartment is read."""

    born: date | None = None
    treated: date | None = None
    changed: date = date.min
    ongoing: str | None = None
    classes: dict[str, date] = field(default_factory=dict)
    is_there: bool = False
    linked: set[str] = field(default_factory=set)

    def facts(self) -> Facts:
        return Facts(self.born, self.treated, self.changed, self.ongoing, self.classes)


@dataclass(frozen=True, slots=True)
class Records:
    """Those of one tenant, as the server itself sees them."""

    database: Database
    tenant: Tenant

    async def person(self, patient: str) -> tuple[str, ...]:
        """The Patient with those that are linked to it, in either direction, however far."""
        known: set[str] = set()
        reached = {patient}
        while reached - known:
            known |= reached
            found = self._where().record(reached, (PATIENT,), Right.READ)
            with mongo_errors:
                documents = await self.database.plain.find(found, {"_id": 0, "id": 1, "cmp": 1}).to_list()
            reached = {each for document in documents for each in document["cmp"]}
        return tuple(sorted(known))

    async def compartments(self, resource_type: str, resource_id: str) -> tuple[str, ...] | None:
        """The patients whose record a resource is part of, even if it was deleted; None where there was never one."""
        found = self._where().instance(resource_type, resource_id, Right.READ)
        with mongo_errors:
            document = await self.database.plain.find_one(found, {"_id": 0, "cmp": 1})
        return None if document is None else tuple(document["cmp"])

    async def facts(self, person: Sequence[str]) -> dict[str, Facts]:
        """Of the Patients that are one person, as far as there is anything of them."""
        seen = await self._seen(self._where().record(person, self._types(), Right.READ))
        return {name: each.facts() for name, each in seen.items() if name in person}

    async def count(self) -> int:
        """How many resources `every` goes through."""
        with mongo_errors:
            return await self.database.plain.count_documents(self._every())

    async def every(self, heard: Heard = lambda _: None) -> list[tuple[tuple[str, ...], list[Facts]]]:
        """Each person of the tenant, who may be several Patients, with what is known of the record of each."""
        seen = await self._seen(self._every(), heard)
        persons = _persons({name: each.linked for name, each in seen.items() if each.is_there})
        return [(each, [seen[name].facts() for name in each]) for each in persons]

    def _where(self) -> Where:
        return Where(self.tenant.name, Caller.system(self.tenant.name, "retention"))

    def _types(self) -> tuple[str, ...]:
        return compartment.members(PATIENT)

    def _every(self) -> Filter:
        return self._where().versions(self._types(), Right.READ, None, {})

    async def _seen(self, found: Filter, heard: Heard = lambda _: None) -> dict[str, _Seen]:
        seen: dict[str, _Seen] = {}
        deleted: list[Document] = []
        with mongo_errors:
            async for document in self.database.plain.find(found, READ).batch_size(BATCH):
                _note(document, seen)
                if document["del"]:
                    deleted.append(document)
                heard(1)
        for at in range(0, len(deleted), BATCH):
            before = [(each["rt"], each["id"], each["v"] - 1) for each in deleted[at : at + BATCH]]
            past = self._where().numbered(before, Right.READ)
            with mongo_errors:
                async for document in self.database.history.find(past, READ):
                    _note(document, seen)
        await self._mark(found, seen)
        return seen

    async def _mark(self, found: Filter, seen: dict[str, _Seen]) -> None:
        """The classes that codes put records into, by when the resource that has them was created."""
        for name, tokens in _marks(self.tenant.own.blinding).items():
            with mongo_errors:
                async for document in self.database.plain.find(both(found, _having(tokens)), {**READ, "d": 1}):
                    created = _day(document["d"] or document["lu"])
                    for patient in document["cmp"]:
                        classes = seen.setdefault(patient, _Seen()).classes
                        classes[name] = max(created, classes.get(name, created))


@lru_cache(maxsize=64)
def _marks(blinding: Blinding | None) -> Mapping[str, tuple[str, ...]]:
    """By class the index entries of the codes that put a record into it, as this tenant has them."""
    found = {}
    with registry.using(replace(NONE, blinding=blinding)):
        for name, listed in retention.marks().items():
            searches = [
                parse((kind,), [(code, ",".join(listed))], lenient=False, base="")
                for kind in compartment.members(PATIENT)
                for code in MARKING
                if listed and _is_token(kind, code)
            ]
            points = [each for search in searches for term in search.criteria for each in term.term.points]
            found[name] = tuple(dict.fromkeys(points))
    return {name: points for name, points in found.items() if points}


def _is_token(resource_type: str, code: str) -> bool:
    found = definitions.search_parameters(resource_type).get(code)
    return found is not None and found.type == "token"


def _having(tokens: Sequence[str]) -> Filter:
    return {"tok": {"$in": list(tokens)}}


def _note(document: Mapping[str, Any], seen: dict[str, _Seen]) -> None:
    """What one resource says of everyone in whose compartment it is."""
    name = f"{document['rt']}/{document['id']}"
    reached = _reached(document)
    for patient in document["cmp"]:
        each = seen.get(patient)
        if each is None:
            each = seen[patient] = _Seen()
        each.changed = max(each.changed, _day(document["lu"]))
        if document["rt"] == PATIENT:
            each.linked |= set(document["cmp"])
        if reached is None:
            continue
        if patient == name:
            each.born = reached
        elif document["rt"] != PATIENT:
            each.treated = max(each.treated or reached, reached)
            each.ongoing = name if reached.year == date.max.year else each.ongoing
    if document["rt"] == PATIENT:
        seen[name].is_there = True


def _reached(document: Mapping[str, Any]) -> date | None:
    """The last day of a birth or of a treatment; a period without an end reaches into the last year there is."""
    code = BIRTH if document["rt"] == PATIENT else _TREATED.get(document["rt"])
    if code is None:
        return None
    codes = (code, wide(code))
    ends = [each["e"] for each in document["dat"] if each["p"] in codes]
    return _day(max(ends) - MILLISECOND) if ends else None


_TREATED = {each: CLINICAL_DATES[each] for each in retention.treatments()}


def _day(moment: datetime) -> date:
    return moment.replace(tzinfo=UTC).date()


def _persons(linked: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Patients that are linked, in either direction, are one person."""
    leader = {name: name for name in linked}

    def led(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    for name, others in linked.items():
        for other in others:
            if other in leader:
                leader[led(other)] = led(name)
    persons: dict[str, list[str]] = {}
    for name in linked:
        persons.setdefault(led(name), []).append(name)
    return [tuple(sorted(each)) for each in persons.values()]
