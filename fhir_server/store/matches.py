"""Runs the plan of a search, under what the caller may see.  https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError
from fhir_server.search import apart
from fhir_server.search.joins import canonical
from fhir_server.search.order import BY_FIELD, specification
from fhir_server.search.page import Position
from fhir_server.search.plan import KEY, Plan
from fhir_server.store import asking
from fhir_server.store.database import Database, Session
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import Document
from fhir_server.store.where import Where

GLANCE = 250
"""Milliseconds for what is only said besides."""
SLOWEST = 10_000
"""Milliseconds that a search may take before it is refused as too costly."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Finds and counts for one caller."""

    database: Database
    where: Where
    session: Session | None = None

    async def page(self, plan: Plan) -> tuple[list[Document], Position | None]:
        """The documents of a page, and where it ended if there are more: one more than it holds is asked for."""
        documents: list[Document] = []
        parts: list[Plan] = []
        part: Plan | None = plan
        while part is not None and len(documents) <= plan.limit:
            found = await self._documents(part, plan.limit + 1 - len(documents))
            documents += found
            parts += [part] * len(found)
            part = part.then
        if len(documents) <= plan.limit:
            return documents, None
        return documents[: plan.limit], parts[plan.limit - 1].position_of(documents[plan.limit - 1])

    async def count(self, plan: Plan) -> int:
        """Matches on all pages; which index counts fastest is left to MongoDB, unless everything is counted."""
        found = self.where.searched(plan.resource_types, Right.SEARCH, plan.criteria, plan.ids)
        hint = {} if plan.criteria else {"hint": "cmp" if isinstance(found.get("cmp"), str) else "order"}
        resources = self.database.of_types(plan.resource_types).resources
        with mongo_errors:
            return await resources.count_documents(found, session=self.session, maxTimeMS=SLOWEST, **hint)

    async def keeps(self, plan: Plan, opened: Where) -> bool:
        """Whether `opened` would find more; where that takes long, nobody is told."""
        found = self.where.kept(opened, plan.resource_types, Right.SEARCH, plan.criteria, plan.ids)
        held = self.database.of_types(plan.resource_types)
        try:
            with mongo_errors:
                wanted = {"session": self.session, "max_time_ms": GLANCE}
                return await held.plain.find_one(found, {"_id": 1}, **wanted) is not None
        except FhirError:
            return False

    async def keys(self, plan: Plan, most: int) -> frozenset[str] | None:
        """Every match as `Type/id`; None where there are more than `most`."""
        documents = await self._listed(plan, {"_id": 0, "rt": 1, "id": 1}, most + 1)
        return frozenset(f"{each['rt']}/{each['id']}" for each in documents) if len(documents) <= most else None

    async def targets(self, plan: Plan, code: str, types: Sequence[str], most: int) -> frozenset[str] | None:
        """Every resource of these types that matches refer to by `code`; None where there are more than `most`."""
        return await self._referred(plan, code, f"({'|'.join(types)})/[^/]+$", most)

    async def named(self, plan: Plan, code: str, most: int) -> frozenset[str] | None:
        """Every canonical URL by which matches name something in `code`; None where there are more than `most`."""
        return await self._referred(plan, code, "", most)

    async def canonicals(self, plan: Plan, most: int) -> frozenset[str] | None:
        """The canonical URLs of all matches, each with its version; None where there are more than `most`."""
        documents = await self._listed(plan, {"_id": 0, "tok": 1}, most + 1)
        names = (canonical(each["tok"]) for each in documents)
        return frozenset(each for each in names if each) if len(documents) <= most else None

    async def _listed(self, plan: Plan, wanted: Document, limit: int) -> list[Document]:
        """In any order; as one batch, since MongoDB would send the first hundred alone."""
        found = self.where.searched(plan.resource_types, Right.SEARCH, plan.criteria, plan.ids)
        cursor = self.database.of_types(plan.resource_types).plain.find(
            found, wanted, session=self.session, limit=limit, batch_size=limit, max_time_ms=SLOWEST
        )
        with mongo_errors:
            return await cursor.to_list()

    async def _referred(self, plan: Plan, code: str, pattern: str, most: int) -> frozenset[str] | None:
        found = self.where.searched(plan.resource_types, Right.SEARCH, plan.criteria, plan.ids)
        stages = [{"$match": found}, *_referred(code, pattern), {"$limit": most + 1}]
        resources = self.database.of_types(plan.resource_types).resources
        with mongo_errors:
            cursor = await resources.aggregate(stages, session=self.session, maxTimeMS=SLOWEST)
            documents = await cursor.to_list()
        return frozenset(each["_id"].partition("=")[2] for each in documents) if len(documents) <= most else None

    def located(self, plan: Plan) -> tuple[Document, str | None]:
        """The filter of what a page is read from, and the index that it is to enter, if one is named."""
        if plan.hint == KEY:
            return self.where.keyed(plan.resource_types[0], Right.SEARCH, plan.filter), KEY
        found = self.where.searched(plan.resource_types, Right.SEARCH, plan.filter, plan.ids)
        return found, _index(plan, found)

    async def _documents(self, plan: Plan, limit: int) -> list[Document]:
        found, hint = self.located(plan)
        wanted = {**self.where.shown, **dict.fromkeys(plan.projection, 1)}
        if plan.pipeline:
            return await self._computed(found, wanted, plan, limit, hint)
        if not plan.sort and self.database.in_memory:
            return await self._ordered_here(found, wanted, plan, limit)
        held, sort = self.database.of_types(plan.resource_types).plain, () if _is_one(plan) else plan.sort
        with mongo_errors:
            return await asking.page(
                held, found, wanted, limit=limit, most_ms=SLOWEST, sort=sort, hint=hint, session=self.session
            )

    async def _ordered_here(self, found: Document, wanted: Document, plan: Plan, limit: int) -> list[Document]:
        """The order that an index would have: by the entry that a position starts with, then by its other keys."""
        rest = specification(BY_FIELD[plan.hint or ""])
        plain = self.database.of_types(plan.resource_types).plain
        documents = await plain.find(found, wanted).sort(rest).to_list()
        return sorted(documents, key=lambda document: plan.position_of(document).values[0])[:limit]

    async def _computed(
        self, found: Document, wanted: Document, plan: Plan, limit: int, hint: str | None
    ) -> list[Document]:
        """An order that no index has is computed by MongoDB, which keeps only as many rows as the page needs."""
        stages = [{"$match": found}, *plan.pipeline, {"$limit": limit}, {"$project": wanted}]
        options: Mapping[str, Any] = {"hint": hint} if hint else {}
        resources = self.database.of_types(plan.resource_types).resources
        with mongo_errors:
            cursor = await resources.aggregate(stages, session=self.session, maxTimeMS=SLOWEST, **options)
            return await cursor.to_list()


def _referred(code: str, pattern: str) -> list[Document]:
    """Stages that lead from documents to what they refer to in this form, each once."""
    within = {"$and": [{"$gte": ["$$each", f"{code}="]}, {"$lt": ["$$each", f"{code}>"]}]}
    entries = {"$filter": {"input": "$tok", "as": "each", "cond": within}}
    return [
        {"$project": {"to": entries}},
        {"$unwind": "$to"},
        {"$match": {"to": {"$regex": f"^{re.escape(code)}={pattern}"}}},
        {"$group": {"_id": "$to"}},
    ]


def _is_one(plan: Plan) -> bool:
    """One id of one type needs no order."""
    return plan.ids is not None and len(plan.ids) == len(plan.resource_types) == 1


_SAME_ORDER = frozenset({"tok", "order"})


def _index(plan: Plan, found: Document) -> str | None:
    """As planned; but one patient's compartment is a better start than a code, and its index has the same order."""
    if plan.sort and plan.hint in _SAME_ORDER and isinstance(found.get("cmp"), str):
        return "cmp"
    hint = plan.hint or (None if plan.ids is None else KEY)
    return apart.index_for(hint, found) if apart.alone(plan.resource_types) else hint
