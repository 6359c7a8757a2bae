"""The events that the server keeps, as tests read them."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.fhir import json
from fhir_server.fhir.audit import BALP
from fhir_server.fhir.entry import EntryRequest
from fhir_server.interactions.context import Context
from fhir_server.interactions.events import unsealed
from fhir_server.interactions.table import context, perform
from fhir_server.store.connection import Store

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PREFIX = f"{BALP}StructureDefinition/IHE.BasicAudit."


async def found(store: Store, tenant: str, query: str = "") -> list[dict[str, Any]]:
    """Events that match a search, in the order of their recording; looking leaves none."""
    ctx: Context = context(
        store.repository(await store.tenants.latest(tenant), Caller.system(tenant, "tests")),
        base="http://127.0.0.1:8080/fhir/mine",
        cursor_key=await store.keys.cursor(tenant),
    )
    answer = await perform(ctx, EntryRequest("GET", f"AuditEvent?_sort=_id&_count=1000&{query}"))
    return [each["resource"] for each in json.parse(answer.body or b"").get("entry", ())]


async def of_request(store: Store, tenant: str, request_id: str) -> list[dict[str, Any]]:
    return await found(store, tenant, f"entity:identifier=|{request_id}")


async def summary(store: Store, tenant: str, event: dict[str, Any]) -> dict[str, Any]:
    """An event in the words of the tables; ids that the server makes up are stars."""
    entities = event.get("entity", [])
    agents = {each["requestor"]: each for each in event["agent"]}
    kinds = [(each["type"]["code"], each.get("role", {}).get("code")) for each in entities]
    queries = [each["query"] for each in entities if "query" in each]
    key = await store.keys.sealing(tenant)
    asked = [unsealed(key, tenant, event["id"], b64decode(each)) for each in queries]
    details = dict(_details(entities))
    return {
        "type": event["type"]["code"],
        "subtype": [each["code"] for each in event.get("subtype", ())],
        "action": event["action"],
        "outcome": event["outcome"],
        "described": event.get("outcomeDesc"),
        "profile": next((each.removeprefix(PREFIX) for each in event["meta"].get("profile", ())), None),
        "about": [UUID.sub("*", _what(each)) for each, kind in zip(entities, kinds, strict=True) if kind == ("2", "4")],
        "patients": [_what(each) for each, kind in zip(entities, kinds, strict=True) if kind == ("1", "1")],
        "asked": asked[0] if asked else None,
        "client": _who(event["agent"][0]),
        "user": _who(agents[True]) if agents[True] is not event["agent"][0] else None,
        "status": details.get("status"),
        "results": details.get("results"),
    }


def _details(entities: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    for each in entities:
        for detail in each.get("detail", ()):
            yield detail["type"], detail["valueString"]


def _what(entity: dict[str, Any]) -> str:
    return str(entity.get("what", {}).get("reference", ""))


def _who(agent: dict[str, Any]) -> str:
    who = agent["who"]
    return str(who.get("reference") or who.get("identifier", {}).get("value") or who.get("display"))
