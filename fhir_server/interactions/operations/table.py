"""The table of operations, and their dispatch.  https://hl7.org/fhir/R4/operationslist.html

An operation becomes rows of the one dispatch of interactions, found by the shape of the path like all others: a read
costs nothing more for there being operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import not_supported
from fhir_server.interactions.context import APPEND_ONLY, Context, Interaction
from fhir_server.interactions.operations import (
    amend,
    diff,
    docref,
    document,
    everything,
    expand,
    graphql,
    lastn,
    lineage,
    lookup,
    meta,
    parameters,
    sign,
    status,
    subsumes,
    translate,
    validate_code,
    validation,
    verify_signature,
)
from fhir_server.interactions.operations.operation import Call, Operation

_R4: Final = "http://hl7.org/fhir/OperationDefinition/"
_OURS: Final = "https://fhir-server.example/OperationDefinition/"

OPERATIONS: Final = (
    Operation(f"{_R4}Patient-everything", everything.of_patient, Right.READ),
    Operation(f"{_R4}Encounter-everything", everything.of_encounter, Right.READ),
    Operation(f"{_R4}Observation-lastn", lastn.run, Right.SEARCH, searches=True),
    Operation("http://hl7.org/fhir/us/core/OperationDefinition/docref", docref.run, Right.SEARCH),
    Operation(f"{_R4}Composition-document", document.run, Right.READ),
    Operation(f"{_R4}ValueSet-expand", expand.run, Right.READ),
    Operation(f"{_R4}ValueSet-validate-code", validate_code.in_value_set, Right.READ),
    Operation(f"{_R4}CodeSystem-validate-code", validate_code.in_code_system, Right.READ),
    Operation(f"{_R4}CodeSystem-lookup", lookup.run, Right.READ),
    Operation(f"{_R4}CodeSystem-subsumes", subsumes.run, Right.READ),
    Operation(f"{_R4}ConceptMap-translate", translate.run, Right.READ),
    Operation(f"{_R4}Resource-validate", validation.run, on_system=True),
    Operation(f"{_R4}Resource-graphql", graphql.run, media_type="application/json"),
    Operation(f"{_OURS}SearchParameter-status", status.run, Right.READ),
    Operation(f"{_R4}Resource-meta", meta.run),
    Operation(f"{_OURS}Resource-diff", diff.of_instance),
    Operation(f"{_OURS}diff", diff.of_two),
    Operation(f"{_OURS}Resource-lineage", lineage.run, Right.READ),
    Operation(f"{_OURS}Resource-sign", sign.run, Right.UPDATE, changes=True),
    Operation(f"{_OURS}Resource-amend", amend.run, Right.UPDATE, changes=True),
    Operation(f"{_OURS}Resource-verify-signature", verify_signature.run, Right.READ),
    Operation(f"{_R4}Resource-meta-add", meta.add, Right.UPDATE, changes=True),
    Operation(f"{_R4}Resource-meta-delete", meta.delete, Right.UPDATE, changes=True),
)

CODE: Final = "operation"
"""How every operation is logged and counted. https://hl7.org/fhir/R4/valueset-type-restful-interaction.html"""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The operations of one name on one level: which of them is meant follows from the type."""

    code: str
    operations: tuple[Operation, ...]

    async def __call__(
        self, ctx: Context, entry: EntryRequest, resource_type: str = "", resource_id: str = ""
    ) -> EntryResponse:
        operation = next((each for each in self.operations if each.applies_to(resource_type)), None)
        if operation is None:
            raise not_supported(f"The operation ${self.code} is not supported on {resource_type}.", status=501)
        if operation.changes and resource_type in APPEND_ONLY:
            raise not_supported(f"${self.code} would change a {resource_type}, which is a record.", status=405)
        if operation.right is not None:
            restriction(ctx.repo.caller, resource_type, operation.right)
        given = parameters.Given()
        if operation.media_type is None:
            given = parameters.read(operation.definition, entry, searches=operation.searches)
        return await operation.run(ctx, Call(entry, operation, given, resource_type, resource_id))


def _rows() -> Iterator[Interaction]:
    """By POST; by GET too where nothing changes. https://hl7.org/fhir/R4/operations.html#request"""
    found: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
        for level in operation.levels:
            found.setdefault(f"{level}${operation.code}", []).append(operation)
    for path, operations in found.items():
        run = Dispatch(operations[0].code, tuple(operations))
        for method in ("POST",) if operations[0].changes else ("GET", "POST"):
            yield Interaction(CODE, method, path, operations[0].right, run, operations[0].media_type)


ROWS: Final = tuple(_rows())
