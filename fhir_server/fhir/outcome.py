"""OperationOutcome and the one exception that becomes it.  https://hl7.org/fhir/R4/operationoutcome.html"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.fhir.resource import Resource

STATUS: dict[str, int] = {
    "structure": 400,
    "value": 400,
    "required": 400,
    "invalid": 400,
    "extension": 400,
    "not-supported": 400,
    "invariant": 422,
    "code-invalid": 422,
    "business-rule": 422,
    "processing": 422,
    "too-costly": 422,
    "too-long": 413,
    "login": 401,
    "expired": 401,
    "unknown": 401,
    "forbidden": 403,
    "suppressed": 403,
    "not-found": 404,
    "deleted": 410,
    "conflict": 409,
    "duplicate": 409,
    "lock-error": 409,
    "multiple-matches": 412,
    "transient": 503,
    "timeout": 503,
    "throttled": 429,
    "exception": 500,
}
"""HTTP status of an issue code where the caller gives none. https://hl7.org/fhir/R4/valueset-issue-type.html"""


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault: what is wrong, where (FHIRPath), with the value seen and what would be right."""

    code: str
    diagnostics: str
    expression: tuple[str, ...] = ()
    severity: str = "error"
    details: str | None = None
    coding: tuple[str, str] | None = None
    """System and code of the details."""

    def as_json(self) -> Resource:
        issue: Resource = {"severity": self.severity, "code": self.code}
        coded = {"coding": [dict(zip(("system", "code"), self.coding, strict=True))]} if self.coding else {}
        if self.details or coded:
            issue["details"] = coded | ({"text": self.details} if self.details else {})
        issue["diagnostics"] = self.diagnostics
        if self.expression:
            issue["expression"] = list(self.expression)
        return issue


class FhirError(Exception):
    """A refusal that the client can act on; `rest` and the bundle loop turn it into an OperationOutcome."""

    def __init__(self, issues: Sequence[Issue], *, status: int | None = None, headers: Iterable[tuple[str, str]] = ()):
        super().__init__("; ".join(issue.diagnostics for issue in issues))
        self.issues = tuple(issues)
        self.status = status or max(STATUS[issue.code] for issue in issues if issue.severity in ("error", "fatal"))
        self.headers = tuple(headers)


def outcome(issues: Iterable[Issue]) -> Resource:
    return {"resourceType": "OperationOutcome", "issue": [issue.as_json() for issue in issues]}


def error(
    code: str, diagnostics: str, *, status: int | None = None, expression: str | None = None, **more: Any
) -> FhirError:
    """A FhirError of one issue."""
    return FhirError([Issue(code, diagnostics, (expression,) if expression else ())], status=status, **more)


def not_found(resource_type: str, resource_id: str) -> FhirError:
    return error("not-found", f"There is no {resource_type} with the id '{resource_id}'.")


def unknown_version(resource_type: str, resource_id: str, version_id: str) -> FhirError:
    return error("not-found", f"{resource_type}/{resource_id} has no version '{version_id}'.")


def gone(resource_type: str, resource_id: str) -> FhirError:
    return error("deleted", f"{resource_type}/{resource_id} has been deleted.")


def invalid(diagnostics: str, *, expression: str | None = None) -> FhirError:
    return error("invalid", diagnostics, expression=expression)


def bad_value(diagnostics: str, *, expression: str | None = None) -> FhirError:
    return error("value", diagnostics, expression=expression)


def not_supported(diagnostics: str, *, status: int | None = None, **more: Any) -> FhirError:
    return error("not-supported", diagnostics, status=status, **more)


def forbidden(diagnostics: str) -> FhirError:
    return error("forbidden", diagnostics)


def conflict(diagnostics: str, *, status: int | None = None) -> FhirError:
    return error("conflict", diagnostics, status=status)


def precondition_failed(diagnostics: str) -> FhirError:
    return error("conflict", diagnostics, status=412)


def multiple_matches(diagnostics: str) -> FhirError:
    return error("multiple-matches", diagnostics)


def too_costly(diagnostics: str, *, status: int | None = None) -> FhirError:
    return error("too-costly", diagnostics, status=status)


def too_long(diagnostics: str) -> FhirError:
    return error("too-long", diagnostics)


def transient(diagnostics: str, *, retry_after: int = 1) -> FhirError:
    """503: nothing was written, the same request may be sent again after `retry_after` seconds."""
    return error("transient", diagnostics, headers=[("Retry-After", str(retry_after))])
