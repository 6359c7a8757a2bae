"""What the two kinds of patch share: numbered operations on a resource, and what no patch may change.
https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError, Issue, error, invalid, too_costly
from fhir_server.fhir.resource import Resource

MAX_OPERATIONS: Final = 1_000

Operation = Callable[[Any], Any]
"""The value as it was to the value as it becomes; what it is given is never changed in place."""

Patch = Callable[[Resource], Resource]


class Unpatchable(Exception):
    """Why an operation cannot be done; 400 where it could never be, whatever the resource."""

    def __init__(self, message: str, *, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def numbered(index: int, expression: str = "") -> Iterator[None]:
    """A refusal inside names the operation, counted from 0 as JSON Pointer and FHIRPath count."""
    try:
        yield
    except Unpatchable as problem:
        where = (expression,) if expression else ()
        raise FhirError([Issue("processing", f"Operation {index}: {problem}", where)], status=problem.status) from None


def counted(operations: Sequence[Any]) -> Iterable[tuple[int, Any]]:
    """The operations of a patch with their numbers, unless there are too many."""
    if len(operations) > MAX_OPERATIONS:
        raise too_costly(
            f"The patch has {len(operations):,} operations; at most {MAX_OPERATIONS:,} are done.", status=413
        )
    return enumerate(operations)


def applied(operations: Sequence[Operation], resource: Resource, expression: str = "") -> Resource:
    """One operation after the other; `expression` says where operation `{}` stands in the request."""
    fixed = fixed_in(resource)
    for index, operation in enumerate(operations):
        where = expression.format(index)
        with numbered(index, where):
            resource = operation(resource)
        refuse_fixed(fixed, resource, index, where)
    refuse_depth(resource)
    done: Resource = pruned(resource)
    return done


def refuse_depth(value: Any) -> None:
    """A patch must not build what a body could not bring."""
    try:
        json.refuse_depth(json.encode(value))
    except RecursionError:
        raise too_costly("The patch nests elements without end.", status=413) from None


_FIXED: Final = ("resourceType", "id", "meta.versionId", "meta.lastUpdated")
"""What makes the resource this one in this version: the server's alone."""


def fixed_in(resource: Any) -> tuple[Any, ...]:
    if not isinstance(resource, dict):
        return ()
    meta = resource.get("meta")
    of_meta = meta if isinstance(meta, dict) else {}
    return resource.get("resourceType"), resource.get("id"), of_meta.get("versionId"), of_meta.get("lastUpdated")


def refuse_fixed(fixed: tuple[Any, ...], resource: Any, index: int, where: str) -> None:
    found = fixed_in(resource)
    if found == fixed:
        return
    if not found:
        raise error("structure", f"Operation {index}: A resource must stay an object.")
    name = next(name for name, old, new in zip(_FIXED, fixed, found, strict=True) if old != new)
    raise invalid(f"Operation {index}: '{name}' is set by the server and cannot be patched.", expression=where or None)


def pruned(value: Any, *, beside: bool = False) -> Any:
    """Without members and items that operations left empty: FHIR has no empty elements.

    `beside` is an array that runs beside another: its places have a meaning.  https://hl7.org/fhir/R4/json.html#null
    """
    if isinstance(value, dict):
        kept = {name: pruned(each, beside=name.startswith("_")) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in ({}, [])}
    if isinstance(value, list):
        items = [pruned(each) for each in value]
        return items if beside else [each for each in items if each not in ({}, [])]
    return value
