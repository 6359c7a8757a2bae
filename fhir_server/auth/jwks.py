"""The public keys of a tenant, for whoever verifies its tokens.  RFC 7517 §5"""

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
    response.headers["Cache-Control"] = f"public, max-age={MAX_AGE}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return JsonWebKeySet(keys=await keyring.published(tenant))
