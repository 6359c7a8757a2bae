"""$lineage: the legacy row that a resource comes from, and the columns of each of its elements.

R4 has no such operation. http://hl7.org/fhir/R4/provenance.html says which row, not which column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import error
from fhir_server.fhir.resource import Resource
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import parameters
from fhir_server.interactions.operations.operation import Call

ROW = (
    ("source", "code", "source_system"),
    ("table", "string", "source_table"),
    ("key", "string", "source_pk"),
    ("mapping", "string", "mapping_name"),
    ("mappingVersion", "string", "mapping_version"),
    ("run", "id", "run_id"),
    ("status", "code", "status"),
)
"""What is told of the row: parameter, type, field of its state."""


async def run(ctx: Context, call: Call) -> EntryResponse:
    """404 where no mapping has written the resource."""
    current = await ctx.repo.current(call.resource_type, call.resource_id)
    state = await ctx.repo.lineage.state(call.resource_type, call.resource_id)
    if state is None:
        raise error("not-found", f"No mapping has written {call.resource_type}/{call.resource_id}.")
    elements = await ctx.repo.lineage.elements(state)
    return parameters.answer([*_row(state), *_elements(elements, current.resource())])


def _row(state: Mapping[str, Any]) -> Iterator[Resource]:
    """`resourceVersion` is the one that the mapping wrote: a later one is somebody else's."""
    for name, type_name, field in ROW:
        yield parameters.part(name, type_name, state[field])
    mapped: datetime = state["last_mapped_at"]
    moment = mapped.replace(tzinfo=mapped.tzinfo or UTC).isoformat(timespec="milliseconds")
    yield parameters.part("lastMapped", "instant", moment.replace("+00:00", "Z"))
    yield parameters.part("resourceVersion", "id", str(state["resource_version"]))


def _elements(elements: list[dict[str, Any]], resource: Resource) -> Iterator[Resource]:
    """Of what the mapping writes, the elements that this resource has."""
    for each in elements:
        if _has(resource, each["path"].split(".")[1:]):
            parts = [parameters.part("path", "string", each["path"])]
            parts += [parameters.part("column", "string", name) for name in each["columns"]]
            parts += [parameters.part("converter", "string", name) for name in each["converters"]]
            yield {"name": "element", "part": parts}


def _has(value: Any, names: list[str]) -> bool:
    """Whether there is an element on this path, in any entry of a list."""
    if isinstance(value, list):
        return any(_has(each, names) for each in value)
    if not names:
        return True
    return isinstance(value, dict) and names[0] in value and _has(value[names[0]], names[1:])
