"""Entries: the only currency between rooms.  https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request

HTTP is a batch of one: the door makes one `EntryRequest`, a batch or transaction makes many, and nothing below the door
knows which it was. Structs like `Version`, because every request makes two.
"""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from urllib.parse import parse_qsl

import msgspec

from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version


class EntryRequest(msgspec.Struct, frozen=True, dict=True):
    """What is asked; `url` is relative to the FHIR base, without a leading slash (`Patient/1?_summary=true`)."""

    method: str
    url: str
    resource: Resource | None = None
    full_url: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: datetime | None = None
    if_none_exist: str | None = None
    prefer: frozenset[str] = frozenset()
    """Preferences as sent, lower-case: `return=minimal`, `handling=lenient`, `respond-async`. RFC 7240"""

    idempotency_key: str | None = None
    """Under which a write may be sent again without being done again."""

    @cached_property
    def path(self) -> str:
        return self.url.partition("?")[0].strip("/")

    @cached_property
    def query(self) -> tuple[tuple[str, str], ...]:
        """Query parameters in order, decoded once; repeats kept."""
        text = self.url.partition("?")[2]
        return tuple(parse_qsl(text, keep_blank_values=True)) if text else ()


class EntryResponse(msgspec.Struct, frozen=True):
    """What is answered; `body` is the JSON of a representation, a Bundle or an OperationOutcome, or nothing."""

    status: int
    body: bytes | None = None
    etag: str | None = None
    last_modified: datetime | None = None
    location: str | None = None
    """Relative to the FHIR base: `Patient/1/_history/2`."""
    headers: tuple[tuple[str, str], ...] = ()
    resource_type: str | None = None
    resource_id: str | None = None
    media_type: str | None = None
    """Of a body that is no resource; in a Bundle it stands in a Binary."""

    @classmethod
    def of(cls, status: int, version: Version, *, location: bool = False) -> EntryResponse:
        """The answer that carries a version; with its location where it was just written."""
        return cls(
            status,
            version.body or None,
            version.etag,
            version.last_updated,
            version.location if location else None,
            resource_type=version.resource_type,
            resource_id=version.resource_id,
        )
