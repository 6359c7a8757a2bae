"""How often somebody has tried to prove who they are, counted before it is looked at whether they did.

Counting first makes tries at the same time as slow as tries one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.database import Collection
from fhir_server.store.errors import is_duplicate, mongo_errors, mongo_writes
from fhir_server.store.layout import Document
from fhir_server.store.users import moment


@dataclass(frozen=True, slots=True)
class Pauses:
    """`after` so many failures in a row, so long a pause; forgotten when nothing happens for as long as `kept`."""

    after: Sequence[tuple[int, timedelta]]
    kept: timedelta

    def pause(self, failures: int) -> timedelta:
        due = [pause for least, pause in self.after if failures >= least]
        return due[-1] if due else timedelta()


class Attempts:
    """The counts of all tenants of a store."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def charge(self, tenant: str, whose: str, pauses: Pauses) -> timedelta:
        """Counts one more failure and answers nothing, or does not count and answers how long to wait."""
        while True:
            now = moment()
            with mongo_errors:
                known = await self._collection.find_one({"_id": f"{tenant}|{whose}"})
            until: datetime = known["until"] if known else now
            if until > now:
                return until - now
            if await self._counted(f"{tenant}|{whose}", known, pauses, now):
                return timedelta()

    async def forgive(self, tenant: str, whose: str) -> None:
        """It was a success: there are no failures in a row."""
        with mongo_writes:
            await self._collection.delete_one({"_id": f"{tenant}|{whose}"})

    async def refund(self, tenant: str, whose: str) -> None:
        """It was a success: this one does not count, but those of others from the same place do."""
        with mongo_writes:
            change = {"$inc": {"failures": -1}, "$set": {"until": moment()}}
            await self._collection.update_one({"_id": f"{tenant}|{whose}", "failures": {"$gt": 0}}, change)

    async def _counted(self, key: str, known: Document | None, pauses: Pauses, now: datetime) -> bool:
        """Whether nobody else has counted in between."""
        failures = known["failures"] if known and known["expires"] > now else 0
        pause = pauses.pause(failures + 1)
        change = {"failures": failures + 1, "until": now + pause, "expires": now + pause + pauses.kept}
        try:
            with mongo_writes:
                if known is None:
                    await self._collection.insert_one({"_id": key, **change})
                    return True
                guard = {"_id": key, "failures": known["failures"], "expires": known["expires"]}
                result = await self._collection.update_one(guard, {"$set": change})
        except FhirError as problem:
            if is_duplicate(problem):
                return False
            raise
        return bool(result.matched_count)
