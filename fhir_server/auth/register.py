"""Applications that register themselves, where a tenant lets them.  RFC 7591 §3"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from fhir_server.auth import form, provider, registration
from fhir_server.auth.grants import METHODS_OF
from fhir_server.auth.provider import KEPT_BY_NOBODY
from fhir_server.auth.recorded import Recorded, note
from fhir_server.auth.refusal import OAuthError
from fhir_server.auth.registration import Registered, Unregistrable

router = APIRouter(prefix="/auth/{tenant}", route_class=Recorded, tags=["registration"])

CLOSED = "This server registers clients itself; please ask its operator."


@router.post("/register", summary="Register an application", status_code=201)
async def register(tenant: str, request: Request) -> JSONResponse:
    """With the setting `registration=approval` the client can be used once the operator has approved it."""
    house = provider.of(request)
    setting = (await house.tenant(tenant)).setting("registration")
    if setting == "closed":
        raise OAuthError("access_denied", CLOSED, 403)
    key = ("register", tenant, request.client.host if request.client else "")
    if wait := house.throttle.wait(key):
        raise OAuthError("invalid_request", "Too many clients were registered.", 429, {"Retry-After": str(wait)})
    house.throttle.failed(key)
    said = await form.json_object(request)
    try:
        made = registration.from_metadata(tenant, said, approved=setting == "open")
    except Unregistrable as problem:
        raise OAuthError(problem.error, str(problem)) from problem
    note(request, client=made.client.client_id, about=made.client.client_id, details=(("scope", made.client.scopes),))
    await house.store.clients.add(made.client)
    return JSONResponse(metadata(made), 201, headers=dict(KEPT_BY_NOBODY))


def metadata(made: Registered) -> dict[str, object]:
    """RFC 7591 §3.2.1"""
    client = made.client
    given = {
        "client_id": client.client_id,
        "client_id_issued_at": int(client.created.timestamp()),
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grants),
        "response_types": [] if "client_credentials" in client.grants else ["code"],
        "token_endpoint_auth_method": min(METHODS_OF[client.kind]),
        "scope": client.scopes,
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri,
        "initiate_login_uri": client.launch_url,
        **({"client_secret": made.secret, "client_secret_expires_at": 0} if made.secret else {}),
    }
    return {name: value for name, value in given.items() if value is not None}
