"""A query as it comes: in the URL, as JSON, as text, or in Parameters.  https://graphql.github.io/graphql-over-http/"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.fhir import json, validate
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError, error, invalid, not_supported
from fhir_server.fhir.resource import Resource

TEXT: Final = "application/graphql"
JSON: Final = "application/json"
PASSED: Final = frozenset({"_format", "_pretty"})
MEMBERS: Final = ("query", "operationName", "variables", "extensions")


@dataclass(frozen=True, slots=True)
class Asked:
    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


def read(entry: EntryRequest) -> Asked:
    """What the URL says and what the body says together."""
    members: dict[str, Any] = {}
    for name, text in entry.query:
        if name not in PASSED:
            _put(members, name, json.parse(text.encode()) if name in ("variables", "extensions") else text)
    for name, value in _of_body(entry.resource or {}).items():
        _put(members, name, value)
    query, operation_name, variables = (members.get(name) for name in MEMBERS[:3])
    if query is None or query == "":
        raise error("required", "$graphql needs a 'query'.")
    for name, value, kind in (
        ("query", query, str),
        ("operationName", operation_name, str),
        ("variables", variables, dict),
    ):
        if value is not None and not isinstance(value, kind):
            raise error("value", f"'{name}' must be {'an object' if kind is dict else 'a string'}.")
    return Asked(query, operation_name, variables or {})


def _put(members: dict[str, Any], name: str, value: Any) -> None:
    if name not in MEMBERS:
        raise not_supported(f"'{name[:80]}' is no part of a GraphQL request; {', '.join(MEMBERS)} are.")
    if name in members:
        raise invalid(f"'{name}' is given twice.")
    members[name] = value


def _of_body(body: Resource) -> dict[str, Any]:
    kind = body.get("resourceType")
    if kind == "Parameters":
        return _of_parameters(body)
    if kind == "Binary":
        return _of_content(body)
    if body:
        raise error("structure", f"$graphql takes a GraphQL request or Parameters as its body, not {kind or 'that'}.")
    return {}


def _of_parameters(body: Resource) -> dict[str, Any]:
    """https://hl7.org/fhir/R4/resource-operation-graphql.html"""
    validate.check(body)
    members: dict[str, Any] = {}
    for each in body.get("parameter", ()):
        if "valueString" not in each:
            raise invalid(f"'{each['name'][:80]}' is of the type string: valueString is expected.")
        _put(members, each["name"], each["valueString"])
    return members


def _of_content(binary: Resource) -> dict[str, Any]:
    """What is no resource is in a Binary, as a JSON Patch is."""
    validate.check(binary)
    media_type = str(binary["contentType"]).partition(";")[0].strip().lower()
    try:
        raw = base64.b64decode(binary.get("data", ""))
        if media_type == TEXT:
            return {"query": raw.decode()}
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise _unreadable() from problem
    if media_type != JSON:
        raise not_supported(f"A query is of the type {TEXT} or {JSON}, not {media_type}.", status=415)
    found = json.parse(raw)
    return _of_parameters(found) if found.get("resourceType") == "Parameters" else _stated(found)


def _unreadable() -> FhirError:
    return error("value", "The data of the Binary is not base64 of UTF-8.", expression="Binary.data")


def _stated(found: Resource) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}
