"""What was changed of a resource since its mapping wrote it, element by element."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.fhir.resource import Resource

SERVERS_OWN = frozenset({"resourceType", "id", "meta"})


def edited(base: Resource, current: Resource) -> tuple[str, ...]:
    """The elements that two versions do not say alike; the order of a list says nothing."""
    names = sorted((base.keys() | current.keys()) - SERVERS_OWN)
    return tuple(name for name in names if not _alike(base.get(name), current.get(name)))


def unmet(names: Iterable[str], current: Resource, mapped: Resource) -> tuple[str, ...]:
    """Of these elements those that the row does not say as the resource does."""
    return tuple(name for name in names if not _alike(current.get(name), mapped.get(name)))


def _alike(one: Any, other: Any) -> bool:
    if not (isinstance(one, list) and isinstance(other, list)):
        return bool(one == other)
    left = list(other)
    for each in one:
        if each not in left:
            return False
        left.remove(each)
    return not left
