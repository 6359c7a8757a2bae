"""break-glass: a person of the practice opens the record of one patient, says why, and is looked at for it.

https://hl7.org/fhir/R4/security.html#6.1.0.5 45 CFR 164.312(a)(2)(ii)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from fhir_server.access import break_glass as glass
from fhir_server.access.caller import BREAK_GLASS, Caller
from fhir_server.auth import form, provider
from fhir_server.auth.jwt import Claims
from fhir_server.auth.provider import KEPT_BY_NOBODY, Provider
from fhir_server.auth.recorded import Recorded, issued, note
from fhir_server.auth.refusal import OAuthError
from fhir_server.auth.tokens import issue
from fhir_server.fhir.audit import Code
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import ID, LOCAL_REFERENCE, Resource, instant
from fhir_server.search.labels import HIGHEST, coding
from fhir_server.store.tenants import Tenant

router = APIRouter(prefix="/auth/{tenant}", tags=["break-glass"], route_class=Recorded)

REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PURPOSE: Final = Code(REASON, BREAK_GLASS, "break the glass")
KNOWN_FOR: Final = timedelta(hours=1)
"""After its time a token opens nothing, but it is still known who shows it."""
LONGEST: Final = 1000
"""Characters of a reason."""

KEPT: Final = ("roles", "fhirUser", "sid", "gid")
"""What the token has of the one it is given for: with the sign-in or the grant it ends too."""

NO_RIGHT: Final = "This is for people with a role that may break the glass: {}."
TURNED_OFF: Final = "The glass cannot be broken here."
NO_REASON: Final = "Say in 'reason' why the record has to be opened; it is read by the privacy officer."
NO_MINUTES: Final = "'minutes' is a whole number from 1 to {}."


@router.post("/break-glass", summary="Open the record of one patient in an emergency")
async def break_glass(tenant: str, request: Request) -> JSONResponse:
    """A token for one patient, to read, for an hour at most; whoever keeps privacy is told before it is given out."""
    house = provider.of(request)
    found = await house.tenant(tenant)
    note(request, purposes=(PURPOSE,))
    claims = await house.bearer(tenant, request)
    caller = await house.tokens.caller(request.headers["authorization"].partition(" ")[2].strip())
    given = await form.parameters(request)
    note(request, subject=caller.subject, fhir_user=caller.fhir_user, roles=caller.roles, client=caller.client_id)
    minutes = _checked(found, caller, given)
    note(request, patients=(given["patient"],), details=(("reason", given["reason"]),))
    await _proven(house, caller, given)
    await _check_patient(house, found, given["patient"])
    now = datetime.now(UTC).replace(microsecond=0)
    answer = await _issued(house, found, claims, given, (now, now + timedelta(minutes=minutes)))
    note(request, token=issued(answer["access_token"])["token"])
    return JSONResponse(dict(answer), headers=dict(KEPT_BY_NOBODY))


def _checked(tenant: Tenant, caller: Caller, given: Mapping[str, str]) -> int:
    """For how many minutes; 403 where something is missing that makes it accountable."""
    minutes = glass.minutes(given.get("minutes"))
    reason = given.get("reason", "").strip()
    wrong = {
        TURNED_OFF: tenant.setting("break_glass") == glass.OFF,
        NO_RIGHT.format(", ".join(glass.table()["eligible"])): not glass.eligible(caller.roles),
        "The glass is broken already; what is open is one record.": caller.purpose == BREAK_GLASS,
        NO_REASON: not reason or len(reason) > LONGEST,
        "Say in 'patient' the id of one patient.": not ID.match(given.get("patient", "")),
        NO_MINUTES.format(glass.table()["minutes"]): minutes is None,
    }
    for said, holds in wrong.items():
        if holds:
            raise OAuthError("access_denied", said, 403)
    assert minutes is not None, "refused above"
    return minutes


async def _proven(house: Provider, caller: Caller, given: Mapping[str, str]) -> None:
    """The word of a step-up, which is good once."""
    try:
        await house.store.step_ups.redeem(caller, given.get("step_up", ""), "break-glass")
    except FhirError as problem:
        raise OAuthError("access_denied", problem.issues[0].diagnostics, 403) from problem


async def _check_patient(house: Provider, tenant: Tenant, patient: str) -> None:
    """Whoever breaks the glass learns whether there is such a patient, and it is on record that they asked."""
    repository = house.store.repository(tenant, Caller.system(tenant.name, "for whom the glass is broken"))
    if not await repository.existing([("Patient", patient)]):
        raise OAuthError("access_denied", "There is no such patient here.", 403)


async def _issued(
    house: Provider, tenant: Tenant, claims: Claims, given: Mapping[str, str], time: tuple[datetime, datetime]
) -> Mapping[str, Any]:
    """The token, once the task to look into its use is kept."""
    start, end = time
    token_id = uuid4().hex
    await _ask_for_review(house, tenant, claims, given, token_id, time)
    opened = str(glass.opened(tenant.setting("break_glass"))).split()
    more = {"purpose": BREAK_GLASS, "until": int(end.timestamp()), "clearance": opened, "jti": token_id}
    token = issue(
        await house.keyring.signing(tenant.name),
        base_url=house.parts.issuing.issuer_url,
        tenant=tenant.name,
        subject=claims["sub"],
        client_id=claims["client_id"],
        scope=glass.SCOPE,
        patient=given["patient"],
        ttl=int((end - start + KNOWN_FOR).total_seconds()),
        now=start.timestamp(),
        more={**{name: claims[name] for name in KEPT if name in claims}, **more},
    )
    seconds = int((end - start).total_seconds())
    answer = {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": glass.SCOPE}
    return {**answer, "patient": given["patient"]}


async def _ask_for_review(
    house: Provider,
    tenant: Tenant,
    claims: Claims,
    given: Mapping[str, str],
    token_id: str,
    time: tuple[datetime, datetime],
) -> None:
    """A Task for the privacy officer, who alone is cleared to see and to close it."""
    who = str(claims.get("fhirUser") or "")
    start, end = (instant(each) for each in time)
    task: Resource = {
        "resourceType": "Task",
        "meta": {"security": [coding(HIGHEST)]},
        "identifier": [{"system": "urn:ietf:params:oauth:jti", "value": token_id}],
        "status": "requested",
        "intent": "order",
        "priority": "stat",
        "code": {"coding": [PURPOSE.as_json()], "text": "Look into an access in an emergency"},
        "description": given["reason"].strip(),
        "for": {"reference": f"Patient/{given['patient']}"},
        "authoredOn": start,
        "requester": {"reference": who} if LOCAL_REFERENCE.match(who) else {"identifier": {"value": claims["sub"]}},
        "performerType": [{"text": "privacy officer"}],
        "restriction": {"period": {"start": start, "end": end}},
    }
    await house.store.repository(tenant, Caller.system(tenant.name, "break-glass")).create(task)
