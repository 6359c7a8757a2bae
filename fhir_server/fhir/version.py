"""A stored version of a resource: the envelope that keeps what the server knows apart from what the client sent."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from fhir_server.fhir import json
from fhir_server.fhir.resource import Resource, etag


class Version(msgspec.Struct, frozen=True, gc=False):
    """`body` is the exact JSON that is served, empty for a deletion.

    A Struct, because a page makes fifty of them: made and collected faster than a frozen dataclass.
    """

    tenant: str
    resource_type: str
    resource_id: str
    version_id: int
    moment: datetime
    """When it was stored, in UTC, as MongoDB says it: without a zone, which only few of a page are asked for."""
    method: str
    body: bytes

    @property
    def last_updated(self) -> datetime:
        """UTC with milliseconds."""
        return self.moment.replace(tzinfo=UTC)

    @property
    def deleted(self) -> bool:
        return self.method == "DELETE"

    @property
    def etag(self) -> str:
        return etag(self.version_id)

    @property
    def location(self) -> str:
        return f"{self.resource_type}/{self.resource_id}/_history/{self.version_id}"

    def resource(self) -> Resource:
        """The resource, parsed anew at each call: the read path serves `body` and never needs it."""
        resource: Resource = json.trusted(self.body)
        return resource
