"""What an application reads before it asks for anything.

https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html, OpenID Connect Discovery §3, RFC 8414
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from fhir_server.access.scopes import PLAIN
from fhir_server.auth import provider
from fhir_server.auth.grants import METHODS
from fhir_server.auth.jwks import MAX_AGE
from fhir_server.auth.server import GRANT_TYPES
from fhir_server.auth.tokens import issuer

router = APIRouter(prefix="/auth/{tenant}", tags=["discovery"])

SMART_PATH = ".well-known/smart-configuration"
"""Below the FHIR base of a tenant."""

CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
STYLE: Mapping[str, str] = {
    "color_background": "#ffffff",
    "color_error": "#b00020",
    "color_highlight": "#005a9c",
    "color_modal_backdrop": "#000000",
    "color_success": "#1b5e20",
    "color_text": "#1a1a1a",
    "dim_border_radius": "4px",
    "dim_font_size": "16px",
    "dim_spacing_size": "16px",
    "font_family_body": "system-ui, sans-serif",
    "font_family_heading": "system-ui, sans-serif",
}
"""https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#smart_style_url"""

OPEN = {"Access-Control-Allow-Origin": "*", "Cache-Control": f"public, max-age={MAX_AGE}"}


@router.get("/.well-known/openid-configuration", summary="OpenID Connect discovery")
async def openid_configuration(tenant: str, request: Request) -> JSONResponse:
    house = provider.of(request)
    await house.tenant(tenant)
    return JSONResponse(openid(house.base_url, tenant), headers=OPEN)


@router.get("/style.json", summary="Colours and sizes for applications that want to look alike")
async def style(tenant: str, request: Request) -> JSONResponse:
    await provider.of(request).tenant(tenant)
    return JSONResponse(dict(STYLE), headers=OPEN)


def smart(base_url: str, tenant: str) -> dict[str, Any]:
    return {**_endpoints(base_url, tenant), "capabilities": list(CAPABILITIES)}


def openid(base_url: str, tenant: str) -> dict[str, Any]:
    return {
        **_endpoints(base_url, tenant),
        "userinfo_endpoint": f"{issuer(base_url, tenant)}/userinfo",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "fhirUser", "profile"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def _endpoints(base_url: str, tenant: str) -> dict[str, Any]:
    place = issuer(base_url, tenant)
    return {
        "issuer": place,
        "jwks_uri": f"{place}/jwks",
        "authorization_endpoint": f"{place}/authorize",
        "token_endpoint": f"{place}/token",
        "introspection_endpoint": f"{place}/introspect",
        "revocation_endpoint": f"{place}/revoke",
        "registration_endpoint": f"{place}/register",
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": [*sorted(PLAIN), "patient/*.cruds", "user/*.cruds", "system/*.cruds"],
        "token_endpoint_auth_methods_supported": list(METHODS),
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "authorization_response_iss_parameter_supported": True,
    }
