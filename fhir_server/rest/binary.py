"""Binary content as it is, instead of base64 in JSON.  https://hl7.org/fhir/R4/binary.html#rest"""

from __future__ import annotations

import base64
import re

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.resource import Resource
from fhir_server.rest.asgi import RawHeaders
from fhir_server.rest.headers import Headers, text

TYPE = "Binary"
READS = frozenset({"read", "vread"})

_MEDIA_TYPE = re.compile(
    r"[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+(?: *; *[a-zA-Z0-9!#$&^_.+-]+=[ a-zA-Z0-9!#$&^_.+\"-]+)*\Z"
)

_GUARDS = [
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),
]
"""What someone uploaded is never run in this origin: it is saved, not shown."""


def received(raw: bytes, headers: Headers, resource_id: str | None) -> Resource:
    """The Binary of a body that is not FHIR."""
    resource: Resource = {"resourceType": TYPE}
    if resource_id is not None:
        resource["id"] = resource_id
    resource["contentType"] = text(headers, b"content-type")
    # https://hl7.org/fhir/R4/binary.html#security-context
    context = text(headers, b"x-security-context")
    if context:
        resource["securityContext"] = {"reference": context}
    if raw:
        resource["data"] = base64.b64encode(raw).decode("ascii")
    return resource


def of(raw: bytes, content_type: str) -> Resource:
    """A Binary that is only on its way: content that an entry brings in the form of a resource."""
    return {"resourceType": TYPE, "contentType": content_type, "data": base64.b64encode(raw).decode("ascii")}


def content(response: EntryResponse) -> tuple[RawHeaders, bytes]:
    """Headers and body of the content that a read found."""
    resource: Resource = json.trusted(response.body or b"{}")
    headers = [(b"content-type", _shown(resource.get("contentType", ""))), *_GUARDS]
    context = resource.get("securityContext", {}).get("reference", "")
    if context.isascii() and context.isprintable() and context:
        headers.append((b"x-security-context", context.encode()))
    return headers, base64.b64decode(resource.get("data", ""))


def _shown(media_type: str) -> bytes:
    """The stored type, where it can stand in a header."""
    return media_type.encode() if _MEDIA_TYPE.match(media_type) else b"application/octet-stream"
