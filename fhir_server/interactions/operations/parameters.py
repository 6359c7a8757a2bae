"""The parameters of an operation, in and out, as its OperationDefinition has them.

https://hl7.org/fhir/R4/operations.html#request and https://hl7.org/fhir/R4/parameters.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Final

from fhir_server.fhir import json, primitives, validate
from fhir_server.fhir.definitions import Operation, OperationParameter, kinds
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError, error, invalid, not_supported
from fhir_server.fhir.resource import Resource

PASSED: Final = frozenset({"_format", "_pretty", "_cursor"})
"""Parameters of the exchange and of paging, which no operation defines."""

_HOLDS: Final = {"resourceType": "Parameters"}
"""Stands for a resource inside, which the operation itself looks at, or whose own faults are to be told."""


@dataclass(frozen=True, slots=True)
class Given:
    """Values by the name of their parameter; `searched` are search parameters, where the operation takes those."""

    values: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    searched: tuple[tuple[str, str], ...] = ()

    def one(self, name: str) -> Any:
        """The value of a parameter that there is at most one of; None where it is not given."""
        return next(iter(self.values.get(name, ())), None)

    def all(self, name: str) -> tuple[Any, ...]:
        return self.values.get(name, ())


def read(operation: Operation, entry: EntryRequest, *, searches: bool = False) -> Given:
    """What is given in the query and in the body together; 400 where it is not as the operation defines it."""
    known = {each.name: each for each in operation.parameters if each.use == "in"}
    reading = _Reading(operation.code, known, searches)
    for name, text in entry.query:
        if name not in PASSED:
            reading.text(name, text)
    if entry.resource is not None:
        reading.body(entry.resource)
    return reading.given()


@dataclass(slots=True)
class _Reading:
    """Parameters on their way, one by one."""

    code: str
    known: Mapping[str, OperationParameter]
    searches: bool
    values: dict[str, list[Any]] = field(default_factory=dict)
    searched: list[tuple[str, str]] = field(default_factory=list)

    def text(self, name: str, text: str) -> None:
        """One from the URL, which can only be primitive. https://hl7.org/fhir/R4/operations.html#request"""
        definition = self.known.get(name)
        if definition is None:
            self.search(name, text)
            return
        type_name = definition.type or ""
        if not _is_primitive(type_name):
            raise invalid(f"'{name}' is a {type_name}: it is sent in the body, not in the URL.")
        self.add(definition, _of_text(name, type_name, text), name)

    def body(self, body: Resource) -> None:
        """Parameters, or the one resource that the operation takes as it is."""
        sent = body.get("resourceType")
        alone = next((each for each in self.known.values() if each.type in ("Resource", sent)), None)
        if sent == "Parameters":
            self.parameters(body)
        elif alone is not None:
            self.add(alone, _resource(body, alone, "resourceType"), alone.name)
        else:
            raise invalid(
                f"${self.code} takes Parameters as its body, not {body.get('resourceType') or 'something else'}.",
                expression="resourceType",
            )

    def parameters(self, body: Resource) -> None:
        validate.check(_without_resources(body))
        for place, each in enumerate(body.get("parameter", ())):
            at = f"Parameters.parameter[{place}]"
            definition = self.known.get(each["name"])
            if definition is None:
                self.search(each["name"], _as_text(each, at), at)
            else:
                self.add(definition, _value(each, definition, at), at)

    def search(self, name: str, text: str, at: str | None = None) -> None:
        if self.searches:
            self.searched.append((name, text))
            return
        near = get_close_matches(name, list(self.known), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise error("not-supported", f"'{name}' is not a parameter of ${self.code}.{hint}", expression=at)

    def add(self, definition: OperationParameter, value: Any, at: str) -> None:
        listed = self.values.setdefault(definition.name, [])
        if definition.max is not None and len(listed) >= definition.max:
            raise invalid(f"'{definition.name}' is given more than once.", expression=at if "[" in at else None)
        listed.append(value)

    def given(self) -> Given:
        for each in self.known.values():
            if each.min and each.name not in self.values:
                raise required(self.code, each.name)
        return Given({name: tuple(listed) for name, listed in self.values.items()}, tuple(self.searched))


def required(code: str, name: str) -> FhirError:
    return error("required", f"${code} needs the parameter '{name}'.")


def _is_primitive(type_name: str) -> bool:
    return kinds().get(type_name, ("", False))[0] == "primitive-type"


def _of_text(name: str, type_name: str, text: str) -> Any:
    """A value as it would be in JSON. A `+` that was not encoded has become a space on the way."""
    written = text.replace(" ", "+") if type_name in ("instant", "dateTime") else text
    try:
        value = _WRITTEN.get(type_name, str)(written)
    except (KeyError, ValueError, InvalidOperation) as problem:
        raise _wrong(name, type_name, text) from problem
    if not primitives.is_valid(type_name, value):
        raise _wrong(name, type_name, text)
    return value


def _wrong(name: str, type_name: str, text: str) -> FhirError:
    return invalid(f"'{name}' is '{text[:100]}', which is not a value of the type {type_name}.")


def _whole(text: str) -> int:
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit():
        raise ValueError(text)
    return int(text[:18])


_WRITTEN: Final[Mapping[str, Callable[[str], Any]]] = {
    "boolean": {"true": True, "false": False}.__getitem__,
    "decimal": Decimal,
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), _whole),
}


def _without_resources(body: Resource) -> Resource:
    """The Parameters alone: what a resource inside is wrong about is said apart from them."""
    listed = body.get("parameter")
    if not isinstance(listed, list):
        return body
    return {**body, "parameter": [_emptied(each) for each in listed]}


def _emptied(parameter: Any) -> Any:
    if isinstance(parameter, dict) and isinstance(parameter.get("resource"), dict):
        return {**parameter, "resource": _HOLDS}
    return parameter


def _value(parameter: Resource, definition: OperationParameter, at: str) -> Any:
    """The value, under the name that its type gives it."""
    type_name = definition.type or ""
    if not type_name:
        raise not_supported(f"The parameter '{definition.name}' is not supported.", expression=at)
    name = "resource" if _is_resource(type_name) else f"value{type_name[:1].upper()}{type_name[1:]}"
    if name in parameter:
        return _resource(parameter[name], definition, at) if name == "resource" else parameter[name]
    sent = next((each for each in parameter if each not in ("name", "id", "extension")), "nothing")
    raise invalid(f"'{definition.name}' is of the type {type_name}: {name} is expected, not {sent}.", expression=at)


def _is_resource(type_name: str) -> bool:
    return kinds().get(type_name, ("", False))[0] == "resource"


def _resource(sent: Resource, definition: OperationParameter, at: str) -> Resource:
    """Of the type that the operation asks for, and then right; one of any type the operation looks at itself."""
    if definition.type == "Resource":
        return sent
    if sent.get("resourceType") != definition.type:
        found = sent.get("resourceType") or "something else"
        raise invalid(f"'{definition.name}' is a {definition.type}, not a {found}.", expression=at)
    validate.check(sent)
    return sent


def _as_text(parameter: Resource, at: str) -> str:
    """The value of a search parameter as a URL would have it."""
    found = next((value for name, value in parameter.items() if name.startswith("value")), None)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, str | int | Decimal):
        return str(found)
    raise not_supported(f"'{parameter['name']}' has no value that could be searched for.", expression=at)


def resource(body: bytes, resource_type: str) -> EntryResponse:
    """An only `return` that is a resource is the answer itself. https://hl7.org/fhir/R4/operations.html#response"""
    return EntryResponse(200, body, resource_type=resource_type)


def part(name: str, type_name: str, value: Any) -> Resource:
    """A parameter of the answer, or a part of one."""
    return {"name": name, f"value{type_name[0].upper()}{type_name[1:]}": value}


def answer(listed: Sequence[Resource]) -> EntryResponse:
    return resource(json.encode({"resourceType": "Parameters", "parameter": list(listed)}), "Parameters")


def values(found: Iterable[tuple[str, str, Any]]) -> EntryResponse:
    """Parameters with these names, types and values."""
    return answer([part(*each) for each in found])
