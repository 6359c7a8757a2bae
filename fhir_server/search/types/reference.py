"""Search type reference: entries `code=Type/id`, `code=url` for resources elsewhere and canonicals, in `tok`.

A versioned reference is found with and without its version. Logical references add `code:identifier…`; a reference that
cannot be searched for, such as one to a contained resource, leaves `code:#`, so that it does not count as missing.
https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fhir_server.fhir.outcome import bad_value
from fhir_server.fhir.resource import ID, LOCAL_REFERENCE
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Term
from fhir_server.search.types import token, uri
from fhir_server.search.values import unescape

FIELD = "tok"
_UNSEARCHABLE = ":#"
_TYPED = re.compile(r"(?:\A|/)([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z")


def _reference(value: dict[str, Any]) -> list[str]:
    found = _literal(value.get("reference", "#"))
    identifier = value.get("identifier")
    if identifier:
        found += [f":identifier{entry}" for entry in token.INDEX["Identifier"](identifier)]
    return found


def _literal(text: str) -> list[str]:
    if text.startswith("#"):
        return [_UNSEARCHABLE]
    bare, versioned, _ = text.partition("/_history/")
    return [f"={text}", f"={bare}"] if versioned else [f"={text}"]


def _inline(value: dict[str, Any]) -> list[str]:
    """A resource held in place, as in `Bundle.entry[0].resource`."""
    return [f"={value['resourceType']}/{value['id']}"] if "id" in value else [_UNSEARCHABLE]


INDEX: dict[str, Callable[[Any], list[str]]] = {
    "Reference": _reference,
    "Resource": _inline,
    "canonical": uri.canonical,
    "uri": uri.INDEX["uri"],
}
"""Entries of a value by its FHIR type."""


def target(value: dict[str, Any]) -> str | None:
    """The type a reference says that it points to. https://hl7.org/fhir/R4/references.html#Reference"""
    match = _TYPED.search(value.get("reference", ""))
    return match.group(1) if match else value.get("type")


def _local(text: str, base: str) -> str:
    """A reference to this server without its base."""
    return text.removeprefix(f"{base.rstrip('/')}/") if base else text


def _any(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
    return _exactly(each for value in values for each in points(parameter, value, asked))


def points(parameter: Parameter, value: str, asked: Asked) -> list[str]:
    """The entries of which any is what a search value means."""
    text = _local(unescape(value), asked.base)
    if not ID.match(text) or "Reference" not in parameter.types:
        if not text:
            raise bad_value(f"The search parameter '{parameter.code}' has an empty value.")
        return [f"{parameter.code}={text}"]
    return [f"{parameter.code}={each}/{text}" for each in parameter.targets]


def _exactly(points: Iterator[str]) -> Term:
    listed = tuple(dict.fromkeys(points))
    return Term({FIELD: listed[0] if len(listed) == 1 else {"$in": list(listed)}}, points=listed)


def _of_identifier(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
    return token.MODIFIERS[""](parameter.of_identifier(), values, asked)


def of_type(resource_type: str) -> Callable[[Parameter, Sequence[str], Asked], Term]:
    """The modifier `:[type]`, as in `subject:Patient=1`."""

    def typed(parameter: Parameter, values: Sequence[str], asked: Asked) -> Term:
        return _exactly(f"{parameter.code}={_to(resource_type, value, asked.base)}" for value in values)

    return typed


def _to(resource_type: str, value: str, base: str) -> str:
    text = _local(unescape(value), base)
    if ID.match(text):
        return f"{resource_type}/{text}"
    match = LOCAL_REFERENCE.match(text)
    if match is None or match.group(1) != resource_type:
        raise bad_value(f"'{value}' is not the id of a {resource_type}, as the modifier :{resource_type} asks.")
    return text


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _any, "identifier": _of_identifier}
