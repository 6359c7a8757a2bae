"""JSON Patch: RFC 6902, with the pointers of RFC 6901.  https://hl7.org/fhir/R4/http.html#patch

Written here because decimals must keep their digits and a copy must not cost more than it is worth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

from fhir_server.fhir import json, patch
from fhir_server.fhir.outcome import too_costly
from fhir_server.fhir.patch import Patch, Unpatchable
from fhir_server.fhir.resource import Resource

MEDIA_TYPE: Final = "application/json-patch+json"
MAX_COPIED: Final = 8 * 1024 * 1024
"""Bytes that all `copy` operations of a patch may add: each can double what the one before made."""
MAX_STEPS: Final = 64

Pointer = tuple[str, ...]
Edit = Callable[[Any, str], Any]

_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_BAD_ESCAPE = re.compile(r"~(?![01])")


def read(raw: bytes) -> Patch:
    """The patch of a body; 400 where it is not one."""
    steps = []
    for index, row in patch.counted(json.parse_array(raw)):
        with patch.numbered(index):
            steps.append(_step(row))

    def patched(resource: Resource) -> Resource:
        copied = Copied()
        return patch.applied([partial(_done, step, copied) for step in steps], resource)

    return patched


def operated(document: Any, rows: list[Any]) -> Any:
    """RFC 6902 on any JSON document, without the rules of FHIR."""
    copied = Copied()
    for row in rows:
        document = _done(_step(row), copied, document)
    return document


@dataclass(frozen=True, slots=True)
class Step:
    """One operation as it is written."""

    op: str
    path: Pointer
    source: Pointer = ()
    value: Any = None

    def __str__(self) -> str:
        return f"{self.op} '{_written(self.path)}'"


class Copied:
    """What the `copy` operations have added so far."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, value: Any) -> None:
        patch.refuse_depth(value)
        self._bytes += len(json.encode(value))
        if self._bytes > MAX_COPIED:
            raise too_costly(f"The patch copies more than {MAX_COPIED:,} bytes.", status=413)


def _step(row: Any) -> Step:
    """https://www.rfc-editor.org/rfc/rfc6902#section-4 Members that are not defined for an operation are ignored."""
    if not isinstance(row, dict):
        raise Unpatchable("An operation of JSON Patch is an object with 'op' and 'path'.", status=400)
    op = row.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        raise Unpatchable(f"'op' is {_seen(op)}; it can be {', '.join(_OPERATIONS)}.", status=400)
    if op in _WITH_VALUE and "value" not in row:
        raise Unpatchable(f"The operation {op} needs a 'value'.", status=400)
    source = _pointer(row, "from") if op in _WITH_SOURCE else ()
    return Step(op, _pointer(row, "path"), source, row.get("value"))


_WITH_VALUE: Final = frozenset({"add", "replace", "test"})
_WITH_SOURCE: Final = frozenset({"move", "copy"})


def _pointer(row: dict[str, Any], member: str) -> Pointer:
    """RFC 6901 §3: `~1` stands for `/`, `~0` for `~`."""
    text = row.get(member)
    if not isinstance(text, str) or (text and not text.startswith("/")) or _BAD_ESCAPE.search(text):
        raise Unpatchable(
            f"'{member}' is {_seen(text)}; a JSON Pointer such as '/name/0/family' is needed.", status=400
        )
    tokens = text.split("/")[1:]
    if len(tokens) > MAX_STEPS:
        raise Unpatchable(f"'{member}' has more than {MAX_STEPS} steps.", status=400)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def _seen(value: Any) -> str:
    return repr(value)[:80] if value is not None else "missing"


def _written(pointer: Pointer) -> str:
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in pointer)[:200]


def _done(step: Step, copied: Copied, document: Any) -> Any:
    try:
        if step.op == "copy":
            copied.add(_value(document, step.source))
        return _OPERATIONS[step.op](step, document)
    except Unpatchable as problem:
        raise Unpatchable(f"{step}: {problem}", status=problem.status) from None


def _add(step: Step, document: Any) -> Any:
    return _inserted(document, step.path, step.value)


def _remove(step: Step, document: Any) -> Any:
    return _removed(document, step.path)


def _replace(step: Step, document: Any) -> Any:
    if not step.path:
        return step.value
    return _edited(document, step.path, lambda parent, token: _with(parent, _present(parent, token), step.value))


def _move(step: Step, document: Any) -> Any:
    value = _value(document, step.source)
    if step.path == step.source:
        return document
    if step.path[: len(step.source)] == step.source:
        raise Unpatchable("An element cannot be moved into itself.")
    return _inserted(_removed(document, step.source), step.path, value)


def _copy(step: Step, document: Any) -> Any:
    return _inserted(document, step.path, _value(document, step.source))


def _test(step: Step, document: Any) -> Any:
    if not same(_value(document, step.path), step.value):
        raise Unpatchable("The value is not the one that is expected.")
    return document


_OPERATIONS: Final[Mapping[str, Callable[[Step, Any], Any]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def same(one: Any, other: Any) -> bool:
    """Equal as RFC 6902 §4.6 says: numbers by their value, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(each, other[name]) for name, each in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    numbers = (int, Decimal)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return isinstance(one, bool) == isinstance(other, bool) and one == other
    return type(one) is type(other) and bool(one == other)


def _value(document: Any, pointer: Pointer) -> Any:
    for token in pointer:
        document = document[_present(document, token)]
    return document


def _present(parent: Any, token: str) -> Any:
    """The key or index of what must be there."""
    if isinstance(parent, dict) and token in parent:
        return token
    if isinstance(parent, list) and _INDEX.match(token) and int(token) < len(parent):
        return int(token)
    raise Unpatchable(f"There is nothing at '{token[:80]}'.")


def _inserted(document: Any, pointer: Pointer, value: Any) -> Any:
    def edit(parent: Any, token: str) -> Any:
        if not isinstance(parent, list):
            return _with(parent, token, value)
        place = len(parent) if token == "-" else int(token) if _INDEX.match(token) else -1  # noqa: S105
        if not 0 <= place <= len(parent):
            raise Unpatchable(f"'{token[:80]}' is no place in an array of {len(parent)}.")
        return [*parent[:place], value, *parent[place:]]

    return _edited(document, pointer, edit) if pointer else value


def _removed(document: Any, pointer: Pointer) -> Any:
    def edit(parent: Any, token: str) -> Any:
        place = _present(parent, token)
        if isinstance(parent, list):
            return [*parent[:place], *parent[place + 1 :]]
        return {name: each for name, each in parent.items() if name != place}

    return _edited(document, pointer, edit)


def _edited(value: Any, pointer: Pointer, edit: Edit) -> Any:
    """A copy of the containers on the way; all else is shared."""
    if not pointer:
        raise Unpatchable("The whole document cannot be removed.")
    if len(pointer) == 1:
        return edit(value, pointer[0])
    place = _present(value, pointer[0])
    return _with(value, place, _edited(value[place], pointer[1:], edit))


def _with(parent: Any, place: Any, value: Any) -> Any:
    if isinstance(parent, list):
        return [*parent[:place], value, *parent[place + 1 :]]
    if isinstance(parent, dict):
        return {**parent, place: value}
    raise Unpatchable("What is there has no parts.")
