"""AuditEvents as they are stored, and what stands for each of them in a chain.

A row is marked with the key of the tenant's chains, so that only what this server has written is ever taken into one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fhir_server.crypto import chain
from fhir_server.crypto.chain import Entry, Kind
from fhir_server.fhir import json
from fhir_server.fhir.audit import Event, resource_of
from fhir_server.fhir.primitives import MILLISECOND, whole_milliseconds
from fhir_server.fhir.version import Version
from fhir_server.search.audited import index_of
from fhir_server.store.layout import AUDITED, Document
from fhir_server.store.tenants import Tenant
from fhir_server.store.versions import envelope, indexed, updated

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """An AuditEvent, stored or about to be, and why it is given an entry."""

    document: Document
    event: str
    digest: bytes
    kind: Kind = "event"


def recorded(tenant: Tenant, event: Event, resource_id: str, key: bytes, process: str) -> Row:
    """An event of this server's own."""
    resource = resource_of(event, resource_id)
    body = json.encode(resource)
    moment = whole_milliseconds(event.recorded)
    version = Version(tenant.name, AUDITED, resource_id, 1, moment, "POST", body)
    found = indexed(resource, index_of(event, resource_id, tenant.own.added), tenant)
    digest = chain.digest(body)
    mac = chain.mark(key, tenant.name, resource_id, 1, digest)
    return Row({**envelope(version), "body": body, **found, "j": process, "mac": mac}, resource_id, digest)


def marked(document: Document, key: bytes) -> Document:
    """Of a version that was sent or brought in."""
    digest = chain.digest(document["body"])
    return {**document, "mac": chain.mark(key, document["t"], document["id"], document["v"], digest)}


def is_marked(document: Mapping[str, Any], digest: bytes, key: bytes) -> bool:
    expected = chain.mark(key, document["t"], document["id"], document["v"], digest)
    return chain.same(bytes(document.get("mac", b"")), expected)


def at(document: Mapping[str, Any]) -> int:
    """When the version was stored, in milliseconds."""
    return milliseconds(updated(document))


def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def moment_of(found: int) -> datetime:
    return EPOCH + found * MILLISECOND


def entry_of(row: Row, before: Entry) -> Entry:
    """The entry that follows another."""
    named = row.document
    return chain.following(before, row.kind, named["id"], named["v"], row.digest, at(named))


def stored_entry(entry: Entry, key: bytes) -> Document:
    """The document of an entry: its key says that there is one of each number."""
    return {
        "_id": entry_key(entry.tenant, entry.writer, entry.seq),
        "t": entry.tenant,
        "w": entry.writer,
        "s": entry.seq,
        "k": entry.kind,
        "e": entry.event,
        "v": entry.version,
        "g": entry.digest,
        "at": moment_of(entry.at),
        "p": entry.previous,
        "h": entry.hash,
        "mac": chain.code(key, entry.hash),
    }


def entry_in(document: Mapping[str, Any]) -> Entry:
    moment: datetime = document["at"]
    return Entry(
        document["t"],
        document["w"],
        document["s"],
        document["k"],
        document["e"],
        document["v"],
        bytes(document["g"]),
        milliseconds(moment.replace(tzinfo=UTC)),
        bytes(document["p"]),
        bytes(document["h"]),
    )


def entry_key(tenant: str, writer: str, seq: int) -> str:
    return f"{tenant}|{writer}|{seq:012}"
