"""What is known of a value while the Python for it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VARIES = object()


@dataclass(frozen=True, slots=True)
class Value:
    """Source that gives a value or None."""

    name: str
    creates: str | None = None
    """The condition under which the value creates the element it stands in; None for never."""
    always: bool = False
    """Never None."""
    column: str = ""
    parts: Mapping[str, Value] | None = None
    """The children of an object, or of the only object of a list."""
    shared: Any = VARIES
    """The object itself, where it is the same for every row."""
