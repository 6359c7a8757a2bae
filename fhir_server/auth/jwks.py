"""The public keys of a tenant, for whoever verifies its tokens, or signatures on its records.  RFC 7517 §5"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from fhir_server.auth.keyring import Keyring

router = APIRouter(prefix="/auth/{tenant}", tags=["keys"])

MAX_AGE = 60
"""Seconds for which the keys may be remembered."""


class JsonWebKeySet(BaseModel):
    keys: list[dict[str, Any]]


@router.get("/jwks", summary="Public signing keys")
async def jwks(tenant: str, request: Request, response: Response) -> JsonWebKeySet:
    keyring: Keyring = request.app.state.keyring
    return _shown(await keyring.published(tenant), response)


@router.get("/signature-keys", summary="Public keys of signatures on records")
async def signature_keys(tenant: str, request: Request, response: Response) -> JsonWebKeySet:
    """Apart from those of tokens: none of these keys signs a token."""
    keyring: Keyring = request.app.state.keyring
    return _shown(await keyring.attesting(tenant), response)


def _shown(keys: list[dict[str, Any]], response: Response) -> JsonWebKeySet:
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return JsonWebKeySet(keys=keys)
