"""The endpoints that applications call by themselves: token, introspect, revoke, userinfo.

RFC 6749 §3.2, RFC 7662, RFC 7009, OpenID Connect Core §5.3
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from fhir_server.auth import form, provider, server
from fhir_server.auth.grants import METHODS
from fhir_server.auth.jwt import Claims, InvalidToken
from fhir_server.auth.provider import KEPT_BY_NOBODY, Provider
from fhir_server.auth.recorded import Recorded, note
from fhir_server.auth.refusal import OAuthError
from fhir_server.auth.tokens import audience, issuer
from fhir_server.store.grants import Grant

router = APIRouter(prefix="/auth/{tenant}", route_class=Recorded, tags=["tokens"])

INACTIVE: Mapping[str, Any] = {"active": False}
"""All that is said of a token that is not good, whatever the reason. RFC 7662 §2.2"""

SHOWN = ("scope", "client_id", "exp", "iat", "sub", "jti", "patient", "encounter")


@router.post("/token", summary="Exchange a code, refresh, or authenticate as a backend service")
async def token(tenant: str, request: Request) -> JSONResponse:
    house = provider.of(request)
    await house.tenant(tenant)
    given = await form.parameters(request)
    return _answer(await house.token(tenant, request, given))


@router.post("/introspect", summary="What a token stands for")
async def introspect(tenant: str, request: Request) -> JSONResponse:
    """For clients that prove who they are, and for bearers of a system/ token: RFC 7662 §2.1 leaves the choice."""
    house = provider.of(request)
    await house.tenant(tenant)
    given = await form.parameters(request)
    await _may_introspect(house, tenant, request, given)
    shown = given.get("token", "")
    return _answer(await _of_access(house, tenant, shown) or await _of_refresh(house, tenant, shown) or INACTIVE)


@router.post("/revoke", summary="End a token before its time")
async def revoke(tenant: str, request: Request) -> Response:
    """RFC 7009 §2.2: 200 too where there is nothing to end, or nothing that is the client's."""
    house = provider.of(request)
    await house.tenant(tenant)
    given = await form.parameters(request)
    client = await house.client(tenant, request, given)
    note(request, client=client.client_id)
    if "token" not in given:
        raise OAuthError("invalid_request", "The parameter 'token' is missing.")
    grant = await _grant(house, tenant, given["token"])
    if grant is not None and grant.client == client.client_id:
        note(request, about=grant.grant_id, subject=grant.user, fhir_user=grant.fhir_user)
        await house.parts.issuing.end(tenant, grant.grant_id)
    claims = await _claims(house, tenant, given["token"])
    if claims is not None and claims["client_id"] == client.client_id:
        note(request, about=claims["jti"], subject=claims["sub"], fhir_user=claims.get("fhirUser"))
        until = datetime.fromtimestamp(claims["exp"], UTC)
        await house.store.revocations.revoke(tenant, "token", claims["jti"], until)
    return Response(status_code=200, headers=dict(KEPT_BY_NOBODY))


@router.get("/userinfo", summary="Who has signed in")
@router.post("/userinfo", include_in_schema=False)
async def userinfo(tenant: str, request: Request) -> JSONResponse:
    house = provider.of(request)
    claims = await house.bearer(tenant, request)
    scopes = claims["scope"].split()
    if "openid" not in scopes:
        raise OAuthError("insufficient_scope", "This needs the scope openid.", 403)
    return _answer({"sub": claims["sub"], **house.parts.issuing.about(tenant, claims.get("fhirUser"), scopes)})


async def _may_introspect(house: Provider, tenant: str, request: Request, given: Mapping[str, str]) -> None:
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        claims = await house.bearer(tenant, request)
        if not any(each.startswith("system/") for each in claims["scope"].split()):
            raise OAuthError("insufficient_scope", "This needs a system/ scope.", 403)
    else:
        await house.client(tenant, request, given, METHODS[:-1])


async def _of_access(house: Provider, tenant: str, shown: str) -> Mapping[str, Any] | None:
    claims = await _claims(house, tenant, shown)
    if claims is None:
        return None
    grant = await house.store.grants.get(tenant, claims["gid"]) if "gid" in claims else None
    return {
        **(house.parts.issuing.context(grant) if grant else {}),
        "active": True,
        "token_type": "Bearer",
        "iss": issuer(house.base_url, tenant),
        "aud": audience(house.base_url, tenant),
        **{name: claims[name] for name in SHOWN if name in claims},
        **_fhir_user(house, tenant, claims.get("fhirUser")),
    }


async def _of_refresh(house: Provider, tenant: str, shown: str) -> Mapping[str, Any] | None:
    grant = await _grant(house, tenant, shown)
    if grant is None or await house.parts.issuing.over(grant):
        return None
    return {
        "active": True,
        "token_type": "refresh_token",
        "iss": issuer(house.base_url, tenant),
        **house.parts.issuing.context(grant),
        "scope": " ".join(grant.scopes),
        "client_id": grant.client,
        "sub": grant.user,
        **_fhir_user(house, tenant, grant.fhir_user),
    }


def _fhir_user(house: Provider, tenant: str, reference: str | None) -> Mapping[str, str]:
    return {} if reference is None else {"fhirUser": f"{audience(house.base_url, tenant)}/{reference}"}


async def _claims(house: Provider, tenant: str, shown: str) -> Claims | None:
    try:
        claims = await house.tokens.claims(shown)
    except InvalidToken:
        return None
    return claims if claims["tenant"] == tenant else None


async def _grant(house: Provider, tenant: str, shown: str) -> Grant | None:
    """The grant of a refresh token whose turn it is."""
    found = await server.grant_of(house.parts, tenant, shown)
    grant = await house.store.grants.get(tenant, found[0]) if found else None
    return grant if grant is not None and found is not None and grant.turn == found[1] else None


def _answer(body: Mapping[str, Any]) -> JSONResponse:
    return JSONResponse(dict(body), headers=dict(KEPT_BY_NOBODY))
