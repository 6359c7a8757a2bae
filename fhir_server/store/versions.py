"""Documents and versions: the storage format of a resource, private to this room.

`body` is the truth: the exact JSON that is served. `res` is the same as BSON for people who query MongoDB itself, and
the arrays are the search index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir_server.access import labelling
from fhir_server.fhir import json
from fhir_server.fhir.primitives import MILLISECOND, whole_milliseconds
from fhir_server.fhir.resource import Resource, identified
from fhir_server.fhir.version import Version
from fhir_server.search import contained, labels
from fhir_server.search.index import Index, index
from fhir_server.search.types import words
from fhir_server.store import locks
from fhir_server.store.bodies import THRESHOLD
from fhir_server.store.codec import native
from fhir_server.store.layout import SUPERSEDED, Document, key, version_key
from fhir_server.store.tenants import Tenant

UNINDEXED: Document = {"tok": [], "str": [], "dat": [], "num": []}
"""Of a deletion: it is found by no search, but stays in the compartments it was in, and as secret as it was."""


@dataclass(frozen=True, slots=True)
class Write:
    """One version about to be stored, and the document it takes the place of."""

    version: Version
    document: Document
    index: Index | None
    previous: Document | None


def stored(
    tenant: Tenant, resource: Resource, resource_id: str, method: str, now: datetime, previous: Document | None
) -> Write:
    """The next version of a resource, with all that is kept of it."""
    resource_type = resource["resourceType"]
    resource = labelled(tenant, resource)
    version_id, last_updated = _next(now, previous)
    complete = identified(resource, resource_id, version_id, last_updated)
    body = json.encode(complete)
    entries = index(complete, added=tenant.own.added, blinding=tenant.blinding)
    version = Version(tenant.name, resource_type, resource_id, version_id, _zoneless(last_updated), method, body)
    document = {**envelope(version), "body": body, **indexed(complete, entries, tenant)}
    lock = locks.of(tenant, complete)
    if lock is not None:
        document[locks.FIELD] = lock
    if tenant.native == "full":
        document["res"] = native(complete, body) if len(body) <= THRESHOLD else None
    return Write(version, document, entries, previous)


def labelled(tenant: Tenant, resource: Resource) -> Resource:
    """With the security labels that the tenant wants the server to give."""
    if tenant.setting("labels") == "off":
        return resource
    return labelling.labelled(resource, index(resource, added=tenant.own.added).tokens)


def indexed(resource: Resource, entries: Index, tenant: Tenant) -> Document:
    """The index, words where a tenant wants them, what is contained, and the version of its own parameters."""
    document = entries.as_document()
    if tenant.indexes_words:
        document[words.FIELD] = words.entries(resource)
    if resource.get("contained"):
        document[contained.FIELD] = contained.entries(resource, worded=tenant.indexes_words, blinding=tenant.blinding)
    return {**document, "pv": tenant.own.version} if tenant.own.version else document


def tombstone(tenant: Tenant, now: datetime, previous: Document) -> Write:
    """The version that says that a resource was deleted. https://hl7.org/fhir/R4/http.html#delete"""
    version_id, last_updated = _next(now, previous)
    moment = _zoneless(last_updated)
    version = Version(tenant.name, previous["rt"], previous["id"], version_id, moment, "DELETE", b"")
    document = {**envelope(version), "body": b"", **UNINDEXED, "cmp": previous["cmp"], "d": None}
    if labels.FIELD in previous:
        document[labels.FIELD] = previous[labels.FIELD]
    return Write(version, document, None, previous)


def _next(now: datetime, previous: Document | None) -> tuple[int, datetime]:
    """Milliseconds, and later than the version before even where a clock was set back: history is ordered by time."""
    moment = whole_milliseconds(now)
    if previous is None:
        return 1, moment
    return previous["v"] + 1, max(moment, updated(previous) + MILLISECOND)


def envelope(version: Version) -> Document:
    return {
        "_id": key(version.tenant, version.resource_type, version.resource_id),
        "t": version.tenant,
        "rt": version.resource_type,
        "id": version.resource_id,
        "v": version.version_id,
        "lu": version.last_updated,
        "m": version.method,
        "del": version.deleted,
    }


def version_of(tenant: str, document: Mapping[str, Any], body: bytes) -> Version:
    moment = document["lu"]
    if moment.tzinfo is not None:
        moment = _zoneless(moment)
    return Version(tenant, document["rt"], document["id"], document["v"], moment, document["m"], body)


def _zoneless(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def updated(document: Mapping[str, Any]) -> datetime:
    """When a version was stored; what is read without a codec of ours has times without a zone."""
    moment: datetime = document["lu"]
    return moment.replace(tzinfo=UTC)


def superseded(document: Document) -> Document:
    """The document of a version in the history."""
    kept = {name: value for name, value in document.items() if name not in SUPERSEDED}
    return {**kept, "_id": version_key(document["_id"], document["v"])}


def destroyed(document: Document) -> Document:
    """What stays of a version that nobody can read any more: that it was there, and whose it was."""
    kept = {name: document[name] for name in ("_id", "t", "rt", "id", "v", "lu", "cmp")}
    return {**kept, "m": "DELETE", "del": True, "body": b"", **UNINDEXED, "d": None}


def unchanged(resource: Resource, previous: Document, body: bytes) -> bool:
    """Whether storing this would repeat the version before, to the byte; only the server's own meta may differ."""
    if previous["del"] or previous["rt"] != resource["resourceType"]:
        return False
    return json.encode(identified(resource, previous["id"], previous["v"], updated(previous))) == body
