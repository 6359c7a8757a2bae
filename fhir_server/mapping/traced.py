"""Values that know the leaf they come from, and are otherwise what they were: how a row is explained, and only then."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


class TracedText(str):
    leaf: int


class TracedWhole(int):
    """Also for true and false, which nothing can be derived from."""

    leaf: int


class TracedDecimal(Decimal):
    leaf: int


class TracedObject(dict[str, Any]):
    leaf: int


class TracedList(list[Any]):
    leaf: int


KINDS: Mapping[type, type] = {
    str: TracedText,
    int: TracedWhole,
    bool: TracedWhole,
    Decimal: TracedDecimal,
    dict: TracedObject,
    list: TracedList,
}


def traced(value: Any, leaf: int) -> Any:
    kind = KINDS.get(value.__class__)
    if kind is None:
        return value
    found = kind(value)
    found.leaf = leaf
    return found


def leaf_of(value: Any) -> int | None:
    return getattr(value, "leaf", None)
