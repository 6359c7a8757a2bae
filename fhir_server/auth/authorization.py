"""Requests for authorization, from the application's until a person has decided.  RFC 6749 §4.1

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any

from fhir_server.auth.acting import patient_of
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.narrowing import within
from fhir_server.auth.person import Person
from fhir_server.auth.redirects import answered
from fhir_server.auth.refusal import Refused
from fhir_server.auth.request import Asked, asked
from fhir_server.auth.tokens import issuer
from fhir_server.store.connection import Store
from fhir_server.store.grants import Grant

UNDECIDED = timedelta(minutes=30)
"""How long a person may take to decide, which includes setting up a second factor."""
CODE = timedelta(seconds=60)

ANSWERED = "This request has been answered already, or has waited too long. Please start again from the application."


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that is as it should be, and waits for a person."""

    id: str
    tenant: str
    client_id: str
    client_name: str
    redirect_uri: str
    scopes: tuple[str, ...]
    """As asked, narrowed to what the client is registered for."""
    state: str
    nonce: str | None = None
    patient: str | None = None
    encounter: str | None = None
    needs_patient: bool = False
    needs_encounter: bool = False
    prompt: str | None = None
    max_age: int | None = None
    session: str | None = None
    challenge: str = ""
    launch: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


class Authorizations:
    """`base_url` is the public one: what applications see is made of it."""

    def __init__(self, store: Store, keyring: Keyring, base_url: str) -> None:
        self._store = store
        self._keyring = keyring
        self._base_url = base_url

    async def begin(self, tenant: str, params: Iterable[tuple[str, str]]) -> Pending:
        """The request, checked and kept; raises `Refused`."""
        wanted = await asked(self._store, self._base_url, tenant, params)
        pending = _pending(wanted)
        content = {name: value for name, value in asdict(pending).items() if name not in ("id", "tenant")}
        word = await self._store.handles.new(
            tenant, "request", {**content, "scopes": list(pending.scopes), "context": dict(pending.context)}, UNDECIDED
        )
        return replace(pending, id=word)

    async def pending(self, tenant: str, request_id: str) -> Pending | None:
        """One that nobody has decided yet."""
        content = await self._store.handles.read(tenant, "request", request_id)
        return Pending(id=request_id, tenant=tenant, **_tuples(content)) if content else None

    async def approve(
        self, pending: Pending, person: Person, scopes: Sequence[str], patient: str | None, encounter: str | None
    ) -> str:
        """Where to send the browser, with a code. Raises `Refused` where this person may not give that."""
        await self._take(pending)
        given = _possible(person, within(scopes, " ".join(pending.scopes)))
        patient, encounter = pending.patient or patient, pending.encounter or encounter
        await self._check(pending, person, given, patient)
        grant = Grant(
            tenant=pending.tenant,
            client=pending.client_id,
            user=person.user_id,
            scopes=given,
            fhir_user=person.fhir_user,
            roles=person.roles,
            patients=person.patients,
            patient=patient,
            encounter=encounter,
            session=None if "offline_access" in given else person.session_id,
            nonce=pending.nonce,
            authenticated=person.authenticated_at,
            context=pending.context,
        )
        await self._store.grants.add(grant)
        bound = {"grant": grant.grant_id, "client": grant.client, "redirect_uri": pending.redirect_uri}
        code = await self._store.handles.new(
            pending.tenant, "code", {**bound, "challenge": pending.challenge, "scopes": list(given)}, CODE
        )
        return self._answer(pending, code=code)

    async def deny(self, pending: Pending, error: str = "access_denied") -> str:
        """Where to send the browser, with the error."""
        await self._take(pending)
        return self._answer(pending, error=error)

    async def _take(self, pending: Pending) -> None:
        """One decision for each request, however often a form is sent."""
        taken = await self._store.handles.take(pending.tenant, "request", pending.id)
        if taken is None or not taken.first:
            raise Refused("invalid_request", ANSWERED)

    async def _check(self, pending: Pending, person: Person, given: Sequence[str], patient: str | None) -> None:
        """RFC 6749 §4.1.2.1; patient scopes are never given without a patient."""
        if not given:
            raise self._refused(pending, "access_denied", "Nothing of what was asked for was granted.")
        if patient is None and _about_a_patient(given):
            raise self._refused(pending, "access_denied", "No patient was chosen.")
        if patient is not None and not await self._may_act_for(person, patient):
            raise self._refused(pending, "access_denied", "This person may not act for this patient.")
        if pending.launch is not None:
            launch = await self._store.handles.take(pending.tenant, "launch", pending.launch)
            if launch is None or not launch.first:
                raise self._refused(pending, "invalid_request", "The launch has been used already, or is too old.")

    async def _may_act_for(self, person: Person, patient: str) -> bool:
        tenant = await self._store.tenants.get(person.tenant)
        return tenant is not None and await patient_of(self._store, tenant, person, patient) is not None

    def _refused(self, pending: Pending, error: str, description: str) -> Refused:
        return Refused(error, description, self._answer(pending, error=error, error_description=description))

    def _answer(self, pending: Pending, **parameters: str) -> str:
        """RFC 9207: the issuer stands in every answer."""
        return answered(
            pending.redirect_uri, **parameters, state=pending.state, iss=issuer(self._base_url, pending.tenant)
        )


def _pending(wanted: Asked) -> Pending:
    patient, encounter = wanted.launched.get("patient"), wanted.launched.get("encounter")
    return Pending(
        id="",
        tenant=wanted.client.tenant,
        client_id=wanted.client.client_id,
        client_name=wanted.client.name,
        redirect_uri=wanted.redirect_uri,
        scopes=wanted.scopes,
        state=wanted.state,
        nonce=wanted.nonce,
        patient=patient,
        encounter=encounter,
        needs_patient=patient is None and _about_a_patient(wanted.scopes),
        needs_encounter=encounter is None and "launch/encounter" in wanted.scopes,
        prompt=wanted.prompt,
        max_age=wanted.max_age,
        challenge=wanted.challenge,
        launch=wanted.launch,
        context={name: value for name, value in wanted.launched.items() if name not in ("patient", "encounter")},
    )


def _possible(person: Person, given: tuple[str, ...]) -> tuple[str, ...]:
    """SMART: who is no resource cannot be told as one."""
    return given if person.fhir_user else tuple(each for each in given if each != "fhirUser")


def _about_a_patient(scopes: Iterable[str]) -> bool:
    return any(each == "launch/patient" or each.startswith("patient/") for each in scopes)


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    return {**content, "scopes": tuple(content["scopes"])}
