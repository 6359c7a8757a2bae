"""What the rows of a source have become, page by page: each state with the resource that is stored now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.resource import Resource
from fhir_server.mapping.features import is_feature
from fhir_server.store.mappings import MappingStates
from fhir_server.store.repository import Repository

PAGE = 500

State = dict[str, Any]
Found = list[tuple[State, Resource | None]]


async def living(states: MappingStates, repository: Repository, source: str) -> AsyncIterator[Found]:
    """Pages of memory's size; None where a resource is told of and not there, and for records of features."""
    page: list[State] = []
    async for state in states.living_states(source):
        page.append(state)
        if len(page) == PAGE:
            yield await _with_resources(repository, page)
            page = []
    if page:
        yield await _with_resources(repository, page)


async def _with_resources(repository: Repository, page: list[State]) -> Found:
    wanted = {_key(each) for each in page if not is_feature(each["resource_type"])}
    found = await repository.several(wanted) if wanted else {}
    versions = [found.get(_key(each)) for each in page]
    return [(each, version.resource() if version else None) for each, version in zip(page, versions, strict=True)]


def references(value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Each literal reference within the server: its path without indexes, type and id.

    https://hl7.org/fhir/R4/references.html#literal"""
    if isinstance(value, list):
        for each in value:
            yield from references(each, path)
    elif isinstance(value, dict):
        for name, child in value.items():
            if name == "reference" and isinstance(child, str):
                resource_type, slash, resource_id = child.partition("/")
                if slash and resource_type in resource_types():
                    yield path, resource_type, resource_id.partition("/")[0]
            else:
                yield from references(child, f"{path}.{name}")


def _key(state: State) -> tuple[str, str]:
    return state["resource_type"], state["resource_id"]
