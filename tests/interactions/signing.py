"""People who sign, without the pages on which they prove who they are."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import Scopes
from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.interactions.context import Context
from fhir_server.interactions.table import context
from fhir_server.store.connection import Store
from fhir_server.store.users import User
from tests.interactions.conftest import ask

NOTE: dict[str, Any] = {
    "resourceType": "Composition",
    "status": "final",
    "type": {"text": "Progress note"},
    "date": "2026-11-21",
    "author": [{"display": "Ann Lee"}],
    "title": "Note",
}
WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "weight"},
    "valueQuantity": {"value": Decimal("71.50"), "unit": "kg"},
}


@dataclass
class Signer:
    """Somebody with the rights of a token and a session."""

    store: Store
    ctx: Context
    user: User
    session: str

    async def word(self, purpose: Any = "sign") -> str:
        return await self.store.step_ups.new(self.user, self.session, purpose, ("pwd", "otp"))

    async def signs(self, place: str, version: int = 1, **more: Any) -> dict[str, Any]:
        """The Provenance."""
        given = {"meaning": "author", "stepUp": await self.word(), **more}
        return body(await self.calls(f"{place}/$sign", given, if_match=f'W/"{version}"'))

    async def amends(self, place: str, version: int = 1, **more: Any) -> dict[str, Any]:
        given = {"reason": "a slip of the pen", "stepUp": await self.word(), **more}
        return body(await self.calls(f"{place}/$amend", given, if_match=f'W/"{version}"'))

    async def verifies(self, place: str) -> list[dict[str, Any]]:
        """Each signature as its parts; where there is a state it comes first."""
        answer = body(await ask(self.ctx, f"GET {place}/$verify-signature"))
        return [_parts(each) for each in answer["parameter"]]

    async def calls(self, path: str, given: dict[str, Any], **more: Any) -> EntryResponse:
        listed = [_parameter(name, value) for name, value in given.items() if value is not None]
        return await ask(self.ctx, f"POST {path}", {"resourceType": "Parameters", "parameter": listed}, **more)


async def signer(store: Store, ctx: Context, scopes: str = "user/*.cruds", **more: Any) -> Signer:
    """A person of the tenant who has signed in."""
    given = {"name": "Ann Lee, MD", "roles": ("physician",), "fhir_user": "Practitioner/7", **more}
    user = await store.users.add(User(ctx.repo.tenant.name, f"u{uuid4().hex[:8]}", **given))
    session = uuid4().hex
    granted = Scopes.parse(scopes).resources
    caller = Caller(user.tenant, user.user_id, "app", granted, roles=user.roles, session_id=session)
    inside = context(store.repository(ctx.repo.tenant, caller), base=ctx.base, cursor_key=ctx.cursor_key)
    return Signer(store, inside, user, session)


def body(answer: EntryResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.trusted(answer.body or b"{}")
    return found


def _parameter(name: str, value: Any) -> dict[str, Any]:
    kinds = {"meaning": "valueCode", "resource": "resource", "patch": "resource"}
    return {"name": name, kinds.get(name, "valueString"): value}


def _parts(parameter: dict[str, Any]) -> dict[str, Any]:
    listed = parameter.get("part", [parameter])
    return {each["name"]: next(value for name, value in each.items() if name != "name") for each in listed}
