"""Claims: transactions that decide by the same criteria collide, so that only one of them finds nothing and creates.

MongoDB's snapshots see no phantoms: two transactions that both find no match would both create one. Writing the same
document first makes the second of them fail and start again.
https://hl7.org/fhir/R4/http.html#ccreate
"""

from __future__ import annotations

from fhir_server.store.database import Database, Session
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import key


async def claim(database: Database, session: Session | None, tenant: str, criteria: str) -> None:
    """The type stays readable in the key: `acme|Patient|<digest>`."""
    name = key(tenant, criteria.partition("?")[0], await database.seals.digest(criteria))
    with mongo_errors:
        await database.claims.update_one({"_id": name}, {"$inc": {"n": 1}}, upsert=True, session=session)
