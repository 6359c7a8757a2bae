"""What has to be true before something labelled, or a Consent that forbids, is stored.

A tenant that has neither costs nothing: its record says so, and every process reads that once a second. The first one
is stored when every process has learned that there is one.
https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from fhir_server.access.caller import Caller
from fhir_server.access.concealment import CONSENTS, LABELS
from fhir_server.access.provision import rule_of
from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError, Issue, conflict, forbidden
from fhir_server.fhir.resource import Resource
from fhir_server.search import labels
from fhir_server.store.layout import Document
from fhir_server.store.tenants import Tenant
from fhir_server.store.versions import Write

CONSENT = "Consent"


class Unguarded(FhirError):
    """Nothing was stored: the tenant has to be marked first."""

    def __init__(self, needed: frozenset[str]) -> None:
        super().__init__([Issue("transient", "What hides is being prepared; please send it again.")])
        self.needed = needed


def check(tenant: Tenant, caller: Caller, write: Write) -> None:
    """Labels are not lowered by whoever may not, and nothing is stored that not every process would hide."""
    _refuse_lowered(caller, write)
    needed = _needed(write) - tenant.guards
    if needed:
        raise Unguarded(needed)


def refuse_altered(resource: Resource) -> None:
    """What was masked for somebody is not written back over what is there."""
    if labels.altered(resource):
        raise conflict(
            "It is labelled as a copy from which something was left out (REDACTED, MASKED): storing it would lose that."
        )


def unguarded(problem: BaseException | None) -> Unguarded | None:
    """Also where it became the cause of a refusal that names an entry."""
    while problem is not None and not isinstance(problem, Unguarded):
        problem = problem.__cause__
    return problem


def _needed(write: Write) -> frozenset[str]:
    needed = {LABELS} if write.document.get(labels.FIELD) else set()
    if write.version.resource_type == CONSENT and not write.version.deleted:
        needed |= {CONSENTS} if rule_of(json.trusted(write.version.body)) else set()
    return frozenset(needed)


def _refuse_lowered(caller: Caller, write: Write) -> None:
    before: Document = write.previous or {}
    if labels.FIELD not in before or caller.unbound or caller.cleared.lowers or write.version.deleted:
        return
    lost = labels.lost(before[labels.FIELD], write.document.get(labels.FIELD, ()))
    if lost:
        raise forbidden(
            f"This access token gives no right to take away or lower security labels: {', '.join(lost)} of "
            f"{write.version.resource_type}/{write.version.resource_id} would be lost. Please send them along."
        )
