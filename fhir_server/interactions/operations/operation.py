"""One operation: its definition, what it needs, and one call of it.  https://hl7.org/fhir/R4/operations.html"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property

from fhir_server.access.right import Right
from fhir_server.fhir import definitions
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.primitives import written
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations.parameters import Given

ANY = "Resource"
"""What an operation is defined on that every type of resource has."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked; on the whole system there is no type, on a type there is no id."""

    entry: EntryRequest
    operation: Operation
    given: Given
    resource_type: str = ""
    resource_id: str = ""

    @property
    def applied(self) -> list[tuple[str, str]]:
        """Its primitive parameters as a URL has them, also where they came in a body."""
        names = [each.name for each in self.operation.definition.parameters]
        given = [(name, value) for name in names for value in self.given.all(name)]
        return [(name, written(value)) for name, value in given if not isinstance(value, dict)]


Run = Callable[[Context, Call], Awaitable[EntryResponse]]


@dataclass(frozen=True)
class Operation:
    """One row of the table; levels and parameters are those of the OperationDefinition."""

    url: str
    run: Run
    right: Right | None = None
    """What the caller needs on the type of the path; none where the operation itself decides."""
    changes: bool = False
    """Whether it affects state: R4 leaves that out of its definitions."""
    searches: bool = False
    """Whether it takes search parameters beside its own."""
    on_system: bool = False
    """Whether it is also called on the system, which the definition does not say."""
    media_type: str | None = None
    """Of its request and its answer, where they are no resources; it reads its parameters itself."""

    @cached_property
    def definition(self) -> definitions.Operation:
        return definitions.operations()[self.url]

    @property
    def code(self) -> str:
        return self.definition.code

    @property
    def levels(self) -> tuple[str, ...]:
        """The paths it is called on, as the rows of interactions write them."""
        found = self.definition
        on = (found.system or self.on_system, found.type, found.instance)
        return tuple(path for path, has in zip(LEVELS, on, strict=True) if has)

    def applies_to(self, resource_type: str) -> bool:
        return not resource_type or ANY in self.definition.resources or resource_type in self.definition.resources


LEVELS = ("", "{resource_type}/", "{resource_type}/{resource_id}/")
