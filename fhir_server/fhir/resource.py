"""A resource in memory is its parsed JSON, decimals as `Decimal`, never changed in place.  https://hl7.org/fhir/R4/resource.html"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

Resource = dict[str, Any]

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
"""A logical id. https://hl7.org/fhir/R4/datatypes.html#id"""

LOCAL_REFERENCE = re.compile(r"([A-Z][A-Za-z]{1,60})/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?\Z")
"""A relative literal reference: type, id and perhaps a version. https://hl7.org/fhir/R4/references.html#literal"""


def identified(resource: Resource, resource_id: str, version_id: int, last_updated: datetime) -> Resource:
    """The resource with the id and the meta that only the server sets, in the element order of the specification."""
    rest = {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}
    meta = {
        **resource.get("meta", {}),
        "versionId": str(version_id),
        "lastUpdated": instant(last_updated),
    }
    return {"resourceType": resource["resourceType"], "id": resource_id, "meta": meta, **rest}


def instant(moment: datetime) -> str:
    """An instant in UTC with milliseconds, the precision that the store keeps."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def etag(version_id: int) -> str:
    """The weak entity tag of a version. https://hl7.org/fhir/R4/http.html#versioning"""
    return f'W/"{version_id}"'
