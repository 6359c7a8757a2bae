"""Types compiled into msgspec Structs, so that structure is checked at the speed of C.

A Struct may be stricter than R4 where that makes it faster (no nulls in arrays, base64 without spaces): what it refuses
goes to the walk, and the walk decides.  https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache, lru_cache, partial
from types import ModuleType
from typing import Annotated, Any, ForwardRef, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fhir_server.fhir import references
from fhir_server.fhir.definitions import Element, codes, resource_types, structure
from fhir_server.fhir.json import encode
from fhir_server.fhir.plans import CONTAINED, Plan, element_holds, holds, plan, type_path
from fhir_server.fhir.primitives import DECIMAL_INTEGERS, INTEGERS, MAX_STRING, PATTERNS, STRINGS, is_valid
from fhir_server.fhir.resource import Resource

MODULE = ModuleType("fhir_structs")
sys.modules[MODULE.__name__] = MODULE
"""Where msgspec looks up the Structs that other Structs name."""

REFERENCE_TO = "Reference>"
"""How the path of a Struct for references begins that lists the types they may be to."""


class AnyResource:
    """Stands for a resource inside another; its own type checks it."""


class AnyExtension:
    """Stands for an Extension: a look at its one value is cheaper than a Struct with all fifty."""


MAX_CONTAINED = 1000
"""A resource that contains more is a Bundle in disguise."""

RESOURCE, EXTENSION = AnyResource(), AnyExtension()


def _text(pattern: str) -> Any:
    return Annotated[str, Meta(pattern=pattern)]


PRIMITIVES: dict[str, Any] = {
    "boolean": bool,
    "decimal": Annotated[int, Meta(ge=DECIMAL_INTEGERS[0], le=DECIMAL_INTEGERS[1])] | Decimal,
    **{name: Annotated[int, Meta(ge=low, le=high)] for name, (low, high) in INTEGERS.items()},
    **{name: _text(pattern) for name, pattern in PATTERNS.items()},
    **{name: Annotated[str, Meta(min_length=1, max_length=MAX_STRING)] for name in STRINGS},
    "base64Binary": Annotated[bytes, Meta(min_length=1)],
}

INSIDE: dict[str, Any] = {"Resource": AnyResource, "Extension": AnyExtension}


EMPTY = re.compile(rb'\{(?:\}|"id":"[^"]*"\})')
"""An element without value or children, which is none (ele-1); a string may look like one, and the walk will tell."""


def is_sound(resource: Any, root: Resource | None = None) -> bool:
    """Whether the resource is right beyond doubt; False sends it to the walk. `root` is what it is contained in."""
    try:
        _resource(resource)
    except (msgspec.ValidationError, ValueError, RecursionError):
        return False
    return EMPTY.search(encode(resource)) is None and holds(resource, resource if root is None else root)


def _resource(value: Any) -> AnyResource:
    name = value.get("resourceType") if type(value) is dict else None
    if type(name) is not str or name not in resource_types():
        raise ValueError(name)
    convert(value, compiled(name))
    return RESOURCE


def _extension(value: Any) -> AnyExtension:
    """Most have a url and one value; any other form, right or wrong, goes to the walk."""
    url = value.get("url") if type(value) is dict and len(value) == 2 else None
    if type(url) is not str or not _is_uri(url):
        raise ValueError(url)
    for name in value:
        if name != "url":
            _content(name)(value[name])
    return EXTENSION


@lru_cache(maxsize=4096)
def _is_uri(text: str) -> bool:
    """Few addresses of extensions come again and again."""
    return is_valid("uri", text)


@cache
def _content(name: str) -> Callable[[Any], None]:
    """The check of what an Extension holds under this name; ValueError where it may hold no such thing."""
    if name == "extension":
        return _extensions
    choice = next(each for each in structure("Extension").elements["Extension"] if each.choice)
    type_name = dict(choice.json_names()).get(name)
    if type_name is None:
        raise ValueError(name)
    if type_name in PRIMITIVES:
        return partial(_primitive_content, type_name)
    path = type_path(choice, type_name)
    return partial(_complex_content, compiled(path), plan(path))


def _extensions(found: Any) -> None:
    if type(found) is not list or not found:
        raise ValueError(found)
    for each in found:
        _extension(each)


def _primitive_content(type_name: str, value: Any) -> None:
    if not is_valid(type_name, value):
        raise ValueError(value)


def _complex_content(struct: type[msgspec.Struct], rules: Plan, value: Any) -> None:
    convert(value, struct)
    if not element_holds(rules, value, {}):
        raise ValueError(value)


def _hook(kind: type, value: Any) -> Any:
    """What msgspec calls for a type that it does not know."""
    return _extension(value) if kind is AnyExtension else _resource(value)


convert = partial(msgspec.convert, builtin_types=(Decimal,), dec_hook=_hook)


@cache
def compiled(path: str) -> type[msgspec.Struct]:
    """The Struct of a type or of an element with children (`Patient.contact`), with all that it refers to."""
    waiting = [path]
    while waiting:
        name = waiting.pop()
        if not hasattr(MODULE, _identifier(name)):
            waiting += _compile(name)
    found: type[msgspec.Struct] = getattr(MODULE, _identifier(path))
    return found


def _identifier(path: str) -> str:
    return re.sub(r"\W", "_", path)


def _compile(path: str) -> list[str]:
    """Define the Struct of `path`; the paths that its fields refer to."""
    fields = list(_reference_fields(path) if path.startswith(REFERENCE_TO) else _fields(path))
    _define(path, [(name, kind, required) for name, kind, required, _ in fields])
    return [needed for *_, needed in fields if needed]


def _define(path: str, fields: list[tuple[str, Any, bool]]) -> None:
    """A Struct whose fields are named as in JSON, absent ones cheaply unset."""
    attributes = {name: f"f{name}" if name.startswith("_") or keyword.iskeyword(name) else name for name, *_ in fields}
    required = [(attributes[name], kind) for name, kind, needed in fields if needed]
    optional = [(attributes[name], kind | UnsetType, UNSET) for name, kind, needed in fields if not needed]
    made = msgspec.defstruct(
        _identifier(path),
        [*required, *optional],
        rename={attribute: name for name, attribute in attributes.items()},
        forbid_unknown_fields=True,
        module=MODULE.__name__,
        gc=False,
    )
    setattr(MODULE, _identifier(path), made)


Field = tuple[str, Any, bool, str]
"""JSON name, type, whether it must be there, and the path of the Struct it refers to (or nothing)."""


def _fields(path: str) -> Iterator[Field]:
    definition = structure(path.partition(".")[0])
    if definition.kind == "resource" and path == definition.name:
        yield "resourceType", Literal[definition.name], True, ""
    for element in definition.elements[path]:
        for name, type_name in element.json_names():
            yield from _field(element, name, type_name)


def _field(element: Element, name: str, type_name: str) -> Iterator[Field]:
    kind, needed = _type(element, type_name)
    yield name, _array(kind, name) if element.many else kind, bool(element.min) and not element.choice, needed
    if not needed and kind not in INSIDE.values() and not element.plain and not element.many:
        yield f"_{name}", ForwardRef("Element"), False, "Element"


def _array(kind: Any, name: str) -> Any:
    limits = Meta(min_length=1, max_length=MAX_CONTAINED if name == CONTAINED else None)
    return Annotated[list[kind], limits]


def _type(element: Element, type_name: str) -> tuple[Any, str]:
    """The Python type of an element, and the path of the Struct that it needs."""
    if type_name in INSIDE:
        return INSIDE[type_name], ""
    if type_name in PRIMITIVES:
        return _primitive(element, type_name), ""
    path = type_path(element, type_name)
    return ForwardRef(_identifier(path)), path


def _primitive(element: Element, type_name: str) -> Any:
    binding = element.binding
    if type_name == "code" and binding and binding.strength == "required":
        allowed = codes(binding.value_set)
        if allowed:
            return Literal[tuple(sorted(allowed))]
    return PRIMITIVES[type_name]


def _reference_fields(path: str) -> Iterator[Field]:
    """Fields like those of Reference that also look at what the reference is to."""
    stated = [each for each in path.removeprefix(REFERENCE_TO).split("|") if each]
    targets = tuple(stated or sorted(resource_types()))
    changed = {"reference": _text(references.pattern(targets)), "type": Literal[targets]}
    for name, kind, required, needed in _fields("Reference"):
        yield name, changed.get(name, kind), required, needed
