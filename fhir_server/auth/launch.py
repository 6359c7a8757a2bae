"""Launches out of an EHR: it says what it shows, and gets a word that the application hands on.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from fhir_server.access.caller import Caller
from fhir_server.auth import form, provider
from fhir_server.auth.provider import KEPT_BY_NOBODY
from fhir_server.auth.recorded import Recorded, note
from fhir_server.auth.refusal import OAuthError
from fhir_server.auth.tokens import audience
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import ID
from fhir_server.store.connection import Store

router = APIRouter(prefix="/auth/{tenant}", route_class=Recorded, tags=["authorization"])

LIFETIME = timedelta(minutes=5)

LAUNCH = "launch"
"""The role of what has none."""
MOST = 20
"""Of `fhirContext`."""

TYPES: Mapping[str, type] = {
    "client_id": str,
    "patient": str,
    "encounter": str,
    "intent": str,
    "need_patient_banner": bool,
    "smart_style_url": str,
    "fhirContext": list,
}
"""What can be said of a launch."""


@router.post("/launch", summary="Begin a launch out of an EHR", status_code=201)
async def launch(tenant: str, request: Request) -> JSONResponse:
    """For callers that may read the patient by a user/ or system/ scope."""
    house = provider.of(request)
    await house.tenant(tenant)
    claims = await house.bearer(tenant, request)
    if any(each.startswith("patient/") for each in claims["scope"].split()):
        raise OAuthError("insufficient_scope", "A launch begins with a user/ or system/ scope.", 403)
    note(
        request,
        client=claims["client_id"],
        subject=claims["sub"],
        fhir_user=claims.get("fhirUser"),
        token=claims["jti"],
    )
    said = checked(await form.json_object(request))
    caller = await house.tokens.caller(request.headers["authorization"].partition(" ")[2].strip())
    note(request, about=said["client_id"], patients=(said["patient"],) if "patient" in said else None)
    made = await begun(house.store, caller, said, house.base_url)
    return JSONResponse(made, 201, headers=dict(KEPT_BY_NOBODY))


def checked(said: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in said.items():
        if name not in TYPES or not isinstance(value, TYPES[name]):
            raise OAuthError("invalid_request", f"'{name}' is not known here, or not of its type: {', '.join(TYPES)}.")
    if "client_id" not in said:
        raise OAuthError("invalid_request", "'client_id' says which application is launched.")
    for name in ("patient", "encounter"):
        if name in said and not ID.match(said[name]):
            raise OAuthError("invalid_request", f"'{name}' is not a logical id.")
    context = said.get("fhirContext", [])
    if len(context) > MOST or not all(map(_is_context, context)):
        raise OAuthError("invalid_request", f"'fhirContext' has up to {MOST} objects like {{'reference': '…'}}.")
    return dict(said)


def _is_context(each: object) -> bool:
    """The patient and the encounter have parameters of their own, and roles are absolute URIs but for one.

    https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#fhircontext-exp
    """
    if not isinstance(each, dict) or not {"reference", "canonical", "identifier"} & each.keys():
        return False
    if str(each.get("reference")).startswith(("Patient/", "Encounter/")) and each.get("role", LAUNCH) == LAUNCH:
        return False
    if "role" in each and each["role"] != LAUNCH and ":" not in str(each["role"]):
        return False
    identifier = each.get("identifier", {})
    texts = [value for name, value in each.items() if name != "identifier"]
    return (
        {"reference", "canonical", "identifier", "type", "role"}.issuperset(each)
        and isinstance(identifier, dict)
        and {"system", "value"}.issuperset(identifier)
        and all(isinstance(value, str) for value in (*texts, *identifier.values()))
    )


async def begun(store: Store, caller: Caller, said: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """The word, and where to send the browser if the application is registered with an address for launches."""
    client = await store.clients.get(caller.tenant, said["client_id"])
    if client is None or not client.active:
        raise OAuthError("invalid_request", f"There is no client '{said['client_id']}' that could be launched.")
    await _check_readable(store, caller, said)
    word = await store.handles.new(caller.tenant, "launch", said, LIFETIME)
    result: dict[str, Any] = {"launch": word, "expires_in": int(LIFETIME.total_seconds())}
    if client.launch_url is not None:
        query = urlencode({"iss": audience(base_url, caller.tenant), "launch": word})
        result["launch_url"] = f"{client.launch_url}{'&' if '?' in client.launch_url else '?'}{query}"
    return result


async def _check_readable(store: Store, caller: Caller, said: Mapping[str, Any]) -> None:
    repository = store.repository(await store.tenants.latest(caller.tenant), caller)
    for resource_type in ("Patient", "Encounter"):
        resource_id = said.get(resource_type.lower())
        if resource_id is not None:
            try:
                await repository.current(resource_type, resource_id)
            except FhirError as problem:
                raise OAuthError("invalid_request", str(problem), problem.status) from problem
