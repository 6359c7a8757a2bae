"""What a check finds: faults with their rule and place, and what it could not judge."""

from __future__ import annotations

from dataclasses import dataclass, field

from fhir_server.fhir.outcome import Issue


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken rule; `rule` is the element or the constraint of the profile that states it."""

    code: str
    text: str
    expression: str
    profile: str
    rule: str
    severity: str = "error"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """A slice states again what its element states: the same fault of the same place is told once."""
        return self.severity, self.code, self.text, self.expression

    def issue(self) -> Issue:
        told = f"{self.text} (rule {self.rule} of {self.profile})"
        return Issue(self.code, told, (self.expression,), severity=self.severity)


@dataclass(slots=True)
class Findings:
    """`unjudged` says what could not be checked; `absent` are must-support elements that are not there, by profile."""

    faults: dict[tuple[str, str, str, str], Fault] = field(default_factory=dict)
    unjudged: dict[str, None] = field(default_factory=dict)
    absent: dict[str, dict[str, None]] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        return any(each.severity == "error" for each in self.faults.values())

    def add(self, fault: Fault) -> None:
        self.faults.setdefault(fault.key, fault)

    def issues(self) -> list[Issue]:
        found = [each.issue() for each in self.faults.values()]
        return found + [Issue("incomplete", each, severity="information") for each in self.unjudged]
