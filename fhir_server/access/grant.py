"""What one person lets another see or do: a share of a record.  https://hl7.org/fhir/R4/consent.html"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.access.right import Right

LEVELS: Final[Mapping[str, frozenset[Right]]] = {
    "view": frozenset({Right.READ, Right.SEARCH}),
    "edit": frozenset(Right) - {Right.DELETE},
    "full": frozenset(Right),
}
"""What the levels of a share allow; a level that is not here allows nothing."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights on what is of one patient, or on one resource, perhaps only on some types."""

    resource_type: str
    resource_id: str
    rights: frozenset[Right]
    types: frozenset[str] | None = None

    def permits(self, resource_type: str, right: Right) -> bool:
        if self.resource_type != "Patient" and resource_type != self.resource_type:
            return False
        return right in self.rights and (self.types is None or resource_type in self.types)
