"""What can be wrong with a row, by code, and how far it reaches: a value, or the whole row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CODES = frozenset(
    [
        "REQUIRED_MISSING",
        "UNMAPPED_CODE",
        "TYPE_INVALID",
        "DATE_INVALID",
        "PERIOD_INVERTED",
        "TENANT_UNRESOLVED",
        "CROSS_TENANT_REF",
        "DECRYPT_FAILED",
        "JSON_INVALID",
        "JSON_UNMAPPED_KEY",
        "UNIT_UNMAPPED",
        "IMPLAUSIBLE_VALUE",
        "LOCKED_ROW_CHANGED",
        "CHANGED_IN_BOTH",
        "SHREDDED",
        "HASH_CHAIN_BROKEN",
        "SIGNATURE_MISMATCH",
        "DANGLING_REF",
        "INVARIANT",
        "PROFILE",
    ]
)
ERROR = "error"
WARNING = "warning"


class Fault(Exception):
    """A value that a converter cannot take; `kept` is what can still be said. No message holds the value."""

    def __init__(self, code: str, message: str, *, kept: Any = None, severity: str = WARNING):
        super().__init__(message)
        self.code, self.message, self.kept, self.severity = code, message, kept, severity


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault with its place: which column, which element."""

    code: str
    severity: str
    column: str
    path: str
    message: str

    def as_json(self) -> dict[str, str]:
        return {
            "code": self.code,
            "severity": self.severity,
            "column": self.column,
            "path": self.path,
            "message": self.message,
        }


Findings = list[Finding]


def noted(findings: Findings, fault: Fault, column: str, path: str) -> Any:
    """Writes the fault down; the value that it leaves."""
    findings.append(Finding(fault.code, fault.severity, column, path, fault.message))
    return fault.kept


def missing(findings: Findings, column: str, path: str) -> None:
    """A required element of the resource has no value: the row cannot become a resource."""
    if any(each.path == path and is_error(each) for each in findings):
        return
    findings.append(Finding("REQUIRED_MISSING", ERROR, column, path, f"{path} is required and has no value."))


def lost(findings: Findings, column: str, path: str, child: str) -> None:
    """An element is left out, and what it held with it, because what it requires has no value."""
    message = f"{path} is left out: it requires {child}, and there is none."
    findings.append(Finding("REQUIRED_MISSING", WARNING, column, path, message))


def is_error(finding: Finding) -> bool:
    return finding.severity == ERROR
