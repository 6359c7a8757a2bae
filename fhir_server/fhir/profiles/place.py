"""Where a check is: the profile, the resource and what contains it, with what is found there."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.fhir.profiles.findings import Fault, Findings
from fhir_server.fhir.profiles.items import Item
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.profiles.rules import Node, Profile
from fhir_server.fhir.resource import Resource


@dataclass(frozen=True, slots=True)
class Place:
    """`resource` is what the element stands in, `root` what that is contained in or is an entry of."""

    profile: Profile
    resource: Resource
    root: Resource
    library: Library
    findings: Findings

    @property
    def container(self) -> Resource:
        """What `#id` is looked up in: an entry of a Bundle stands for itself."""
        return self.resource if self.root.get("resourceType") == "Bundle" else self.root

    def fault(self, node: Node, expression: str, code: str, text: str, severity: str = "error") -> None:
        self.findings.add(Fault(code, text, expression, self.profile.label, node.id, severity))

    def unjudged(self, text: str) -> None:
        self.findings.unjudged[text] = None

    def absent(self, node: Node) -> None:
        """A must-support element that is not there."""
        self.findings.absent.setdefault(self.profile.url, {})[node.id] = None

    def count(self, node: Node, number: int, parent: Item, named: str) -> None:
        """Whether there are as many values as there may be."""
        at = f"{parent.expression}.{node.name}"
        if number < node.min:
            text = f"{named} must be there at least {_times(node.min)}, not {_times(number)}."
            self.fault(node, at, "required", text)
        elif node.max == 0 and number:
            self.fault(node, at, "structure", f"{named} must not be there.")
        elif node.max is not None and number > node.max:
            self.fault(node, at, "structure", f"{named} may be there at most {_times(node.max)}, not {_times(number)}.")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
