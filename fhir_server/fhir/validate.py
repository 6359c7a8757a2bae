"""Whether a resource is one: the fast check, and every fault where it is not.  https://hl7.org/fhir/R4/validation.html"""

from __future__ import annotations

from itertools import islice

from fhir_server.fhir.advice import advice
from fhir_server.fhir.outcome import FhirError, Issue
from fhir_server.fhir.references import UNRESOLVED
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.types import is_sound
from fhir_server.fhir.walk import BAD_REQUEST, UNPROCESSABLE, Fault, resource_faults

MAX_ISSUES = 100
MORE = Issue("informational", f"There are more faults; these are the first {MAX_ISSUES}.", severity="information")


def check(resource: Resource, *, for_another: bool = False) -> None:
    """FhirError with every fault where the resource breaks the rules of R4.

    400 where its structure is broken, 422 where only invariants, bindings or the targets of references are.
    With `for_another`, as in a patch, what its `#id` refer to may be contained in the resource that its parts are for.
    """
    if is_sound(resource):
        return
    found = _faults(resource)
    if for_another:
        found = [each for each in found if UNRESOLVED not in each[0].diagnostics]
    if found:
        is_broken = any(status == BAD_REQUEST for _, status in found)
        raise FhirError(_issues(found), status=BAD_REQUEST if is_broken else UNPROCESSABLE)


def faults(resource: Resource) -> list[Issue]:
    """Every fault of the resource with its place; none where it is fine."""
    return _issues(_faults(resource))


def report(resource: Resource) -> list[Issue]:
    """Every fault, and advice where the structure is right."""
    found = _faults(resource)
    if any(status == BAD_REQUEST for _, status in found):
        return _issues(found)
    return [*_issues(found), *advice(resource)[:MAX_ISSUES]]


def _faults(resource: Resource) -> list[Fault]:
    return list(islice(resource_faults(resource), MAX_ISSUES + 1))


def _issues(found: list[Fault]) -> list[Issue]:
    issues = [issue for issue, _ in found[:MAX_ISSUES]]
    return [*issues, MORE] if len(found) > MAX_ISSUES else issues
