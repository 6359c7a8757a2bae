"""What an access token says of a patient and a person, as it is now.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from fhir_server.access.caller import Caller
from fhir_server.fhir.outcome import FhirError, forbidden
from fhir_server.store.connection import Store
from fhir_server.store.shares import Shares
from fhir_server.store.tenants import Tenant

REMEMBERED = 1.0
"""Seconds in which the end of a patient's record reaches every process."""
MOST = 10_000

GONE = "The patient of this access token is not, or no longer, a patient of this tenant."


class Standing:
    """A token outlives what it was issued for: its patient may have been deleted, or merged into another."""

    def __init__(self, store: Store, clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._clock = clock
        self._shares = Shares(store)
        self._living: dict[tuple[str, str], tuple[bool, float]] = {}

    async def now(self, tenant: Tenant, caller: Caller) -> Caller:
        """The caller with what is shared and what is forbidden; 403 where the patient of the token is not there."""
        if caller.patient is not None and not await self._lives(tenant, caller.patient):
            raise forbidden(GONE)
        return await self._store.consents.applied(tenant, await self._shares.applied(tenant, caller))

    async def _lives(self, tenant: Tenant, patient_id: str) -> bool:
        key = (tenant.name, patient_id)
        lives, until = self._living.get(key, (False, 0.0))
        if until > self._clock():
            return lives
        if len(self._living) >= MOST:
            self._living.clear()
        lives = await self._looked_up(tenant, patient_id)
        self._living[key] = (lives, self._clock() + REMEMBERED)
        return lives

    async def _looked_up(self, tenant: Tenant, patient_id: str) -> bool:
        """https://hl7.org/fhir/R4/patient.html#links: one that is replaced must not be used any more."""
        repository = self._store.repository(tenant, Caller.system(tenant.name, "the patient of a token"))
        try:
            patient = (await repository.current("Patient", patient_id)).resource()
        except FhirError as problem:
            if problem.status not in (404, 410):
                raise
            return False
        return all(link.get("type") != "replaced-by" for link in patient.get("link", ()))
