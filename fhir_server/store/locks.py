"""What may no longer be changed: records that were signed, amended, or where a tenant wants it are final.

21 CFR 11.10(e), 11.70. The lock is a field of the document; `Repository._store` is the one place that asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from fhir_server.fhir.finality import is_final
from fhir_server.fhir.outcome import error
from fhir_server.fhir.resource import Resource
from fhir_server.store.layout import Document
from fhir_server.store.tenants import Tenant

Lock = Literal["signed", "amended", "final"]

FIELD: Final = "lock"
SIGNED: Final[Lock] = "signed"
AMENDED: Final[Lock] = "amended"
FINAL: Final[Lock] = "final"

_WHY: Final[Mapping[str, str]] = {
    SIGNED: "has been signed",
    AMENDED: "has been amended, and is to be signed again",
    FINAL: "is final",
}


def refuse(previous: Document | None) -> None:
    """409 where the version that is about to be replaced or deleted is locked."""
    lock = previous.get(FIELD) if previous else None
    if previous is not None and lock is not None:
        here = f"{previous['rt']}/{previous['id']}"
        said = f"{here} {_WHY[lock]}: it can only be changed by $amend, with a reason."
        raise error("business-rule", said, status=409)


def of(tenant: Tenant, resource: Resource) -> Lock | None:
    """The lock that a version has from the start: a signature is a record, and so is what is final for this tenant."""
    if resource["resourceType"] == "Provenance" and resource.get("signature"):
        return SIGNED
    return FINAL if tenant.setting("locks") == FINAL and is_final(resource) else None
