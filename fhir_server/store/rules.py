"""What follows from a Consent that was written: the rule that it makes changes with it, or neither does.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from fhir_server.access.provision import essence, rule_of
from fhir_server.fhir import json
from fhir_server.fhir.version import Version
from fhir_server.store.database import Database, Session
from fhir_server.store.errors import mongo_writes
from fhir_server.store.layout import key

TYPE: Final = "Consent"
NUMBER: Final = "number"
RULE: Final = "rule"


def number_key(tenant: str) -> str:
    """Of the document that counts the changes."""
    return key(tenant, NUMBER, "")


async def follow(database: Database, version: Version, session: Session | None, numbers: dict[str, int]) -> None:
    """In the transaction that stores a Consent: what it forbids from now on. `numbers` are those of the transaction."""
    consent = None if version.deleted else json.trusted(version.body)
    forbids = consent is not None and rule_of(consent) is not None
    name = key(version.tenant, RULE, version.resource_id)
    if not forbids and await database.consents.find_one({"_id": name}, session=session) is None:
        return
    if version.tenant not in numbers:
        numbers[version.tenant] = await _next(database, version.tenant, session)
    body = json.encode(essence(consent)) if consent and forbids else None
    change = {"$set": {"t": version.tenant, "n": numbers[version.tenant], "id": version.resource_id, "body": body}}
    await database.consents.update_one({"_id": name}, change, upsert=True, session=session)


async def forget(database: Database, tenant: str, consents: Iterable[str]) -> None:
    """What these Consents forbade is kept beside them: when they are destroyed, no process goes by it any more."""
    for each in consents:
        gone = Version(tenant, TYPE, each, 0, datetime.now(UTC), "DELETE", b"")
        with mongo_writes:
            await follow(database, gone, None, {})


async def _next(database: Database, tenant: str, session: Session | None) -> int:
    """Of two transactions that count at a time one is begun again: a number is seen after all that are lower."""
    counter = {"_id": number_key(tenant)}
    await database.consents.update_one(counter, {"$inc": {"n": 1}}, upsert=True, session=session)
    found = await database.consents.find_one(counter, session=session)
    assert found is not None, "it was just written"
    number: int = found["n"]
    return number
