"""Which entries of some parameters there are, over many resources: the profiles, tags and security labels in use.
https://hl7.org/fhir/R4/resource-operation-meta.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.access.right import Right
from fhir_server.search.term import any_of, entry_range
from fhir_server.store.database import Database, Session
from fhir_server.store.errors import mongo_errors
from fhir_server.store.matches import SLOWEST
from fhir_server.store.where import Where, both


async def combinations(
    database: Database, where: Where, session: Session | None, types: Sequence[str], codes: Sequence[str]
) -> list[tuple[str, ...]]:
    """The `code=…` entries in `tok` that resources have together, each combination once."""
    ranges = [(f"{code}=", f"{code}>") for code in codes]
    having = any_of([entry_range("tok", low, high) for low, high in ranges])
    found = both(where.living(types, Right.SEARCH, {}), having)
    within: dict[str, Any] = {
        "$or": [{"$and": [{"$gte": ["$$each", low]}, {"$lt": ["$$each", high]}]} for low, high in ranges]
    }
    stages = [
        {"$match": found},
        {"$project": {"tok": {"$filter": {"input": "$tok", "as": "each", "cond": within}}}},
        {"$group": {"_id": "$tok"}},
    ]
    with mongo_errors:
        cursor = await database.of_types(types).resources.aggregate(stages, session=session, maxTimeMS=SLOWEST)
        return [tuple(each["_id"]) for each in await cursor.to_list()]
