"""A running server with tenants filled as a table says, asked by HTTP or through a batch."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

import httpx
from fastapi import FastAPI

from fhir_server.access.caller import Caller
from fhir_server.auth.tokens import issue
from fhir_server.fhir.xml import reader
from fhir_server.store.mappings import MappingStates
from tests.conformance.tables import Case, Table

EVERYTHING = "system/*.cruds"
JSON = "application/fhir+json"
JSON_PATCH = "application/json-patch+json"
URL = "http://fhir.example.org"
_IN_A_BUNDLE = {
    "If-Match": "ifMatch",
    "If-None-Match": "ifNoneMatch",
    "If-None-Exist": "ifNoneExist",
    "If-Modified-Since": "ifModifiedSince",
}


@dataclass(frozen=True)
class Answer:
    """The same whether it came by HTTP or as an entry."""

    status: int
    headers: Mapping[str, str]
    body: Any
    text: str


class Site:
    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client
        self._numbers = count(1)
        self._shared: dict[tuple[str, str], tuple[str, str]] = {}

    async def tenants(self, case: Case, way: str) -> tuple[str, str]:
        """The tenant of the case and its neighbour."""
        key = (case.table.name, way)
        if not case.changes_nothing:
            return await self._filled(case.table)
        if key not in self._shared:
            self._shared[key] = await self._filled(case.table)
        return self._shared[key]

    async def _filled(self, table: Table) -> tuple[str, str]:
        number = next(self._numbers)
        own, other = f"c{number}", f"c{number}-other"
        for tenant, resources in ((own, table.given), (other, table.other)):
            guards = frozenset(table.guards)
            await self.app.state.store.tenants.create(tenant, settings=table.settings, guards=guards)
            await self._fill(tenant, resources)
        await self._map(own, table.mapped)
        for request in table.after:
            answer = await self.by_http(own, await self.token(own), {"request": request})
            assert answer.status < 300, (request, answer.text)
        return own, other

    async def _fill(self, tenant: str, resources: list[dict[str, Any]]) -> None:
        store = self.app.state.store
        repository = store.repository(await store.tenants.get(tenant), Caller.system(tenant, "conformance"))
        await repository.put_many(resources)
        while any(job.open for job in await store.jobs.listed(tenant)):  # noqa: ASYNC110 - the worker of the app does them
            await asyncio.sleep(0.02)
        await store.tenants.latest(tenant)

    async def _map(self, tenant: str, mapped: list[dict[str, Any]]) -> None:
        """As a migration leaves it behind."""
        store = self.app.state.store
        found = await store.tenants.get(tenant)
        states = [{**each["state"], "last_mapped_at": datetime.fromisoformat(each["at"])} for each in mapped]
        await MappingStates(store, found).save(states)
        lineage = store.repository(found, Caller.system(tenant, "conformance")).lineage
        for each in mapped:
            about = each["state"]
            outputs = [(about["output"], each["elements"])]
            await lineage.keep(about["mapping_name"], about["mapping_version"], outputs)

    async def token(self, tenant: str, scope: str = EVERYTHING, **more: Any) -> str:
        key = await self.app.state.keyring.signing(tenant)
        who = {"subject": "someone", "client_id": "an-app", **more}
        return issue(key, base_url=URL, tenant=tenant, scope=scope, **who)

    async def by_http(self, tenant: str, token: str | None, row: Mapping[str, Any]) -> Answer:
        method, _, url = row["request"].partition(" ")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content: str | bytes | None = row.get("raw", row.get("form"))
        if "body" in row:
            content = json.dumps(row["body"])
        if "patch" in row:
            content, headers["Content-Type"] = json.dumps(row["patch"]), JSON_PATCH
        elif content is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded" if "form" in row else JSON
        headers |= row.get("headers", {})
        target = url if url.startswith(("http:", "/")) else f"/fhir/{tenant}" + (f"/{url}" if url else "")
        response = await self.client.request(method, target, headers=headers, content=content)
        return Answer(response.status_code, response.headers, _parsed(response.text), response.text)

    async def in_a_batch(self, tenant: str, token: str | None, row: Mapping[str, Any]) -> Answer:
        method, _, url = row["request"].partition(" ")
        headers = dict(row.get("headers", {}))
        request = {name: headers.pop(header) for header, name in _IN_A_BUNDLE.items() if header in headers}
        entry = {"request": {"method": method, "url": url, **request}}
        if "body" in row:
            entry["resource"] = row["body"]
        if "patch" in row:
            entry["resource"] = in_a_binary(row["patch"])
        headers.setdefault("Prefer", "return=representation")
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
        outer = await self.by_http(tenant, token, {"request": "POST ", "body": bundle, "headers": headers})
        assert outer.status == 200, outer.text
        answered = outer.body["entry"][0]
        said = answered["response"]
        names = {"etag": "etag", "location": "location", "last-modified": "lastModified"}
        seen = {header: said[name] for header, name in names.items() if name in said}
        body = content_of(answered.get("resource", said.get("outcome")))
        return Answer(int(said["status"][:3]), seen, body, json.dumps(answered))


def content_of(resource: Any) -> Any:
    """What is no resource comes in a Binary; rows expect it as HTTP has it."""
    if isinstance(resource, dict) and resource.get("contentType") == "application/json":
        return json.loads(base64.b64decode(resource["data"]))
    return resource


def in_a_binary(patch: Any) -> dict[str, Any]:
    """How a JSON Patch comes in a Bundle. https://hl7.org/fhir/R4/http.html#patch"""
    data = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"resourceType": "Binary", "contentType": JSON_PATCH, "data": data}


def _parsed(text: str) -> Any:
    if text.startswith("<?xml"):
        return reader.parse(text.encode())
    try:
        return json.loads(text) if text else None
    except json.JSONDecodeError:
        return None
