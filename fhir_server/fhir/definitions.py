"""What R4 defines, read on demand from the tables of `capability/`.  https://hl7.org/fhir/R4/structuredefinition.html

Nothing is loaded at import: a request pays for the types, parameters and code lists that it touches, once per process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import msgspec

MANY = "*"


@dataclass(frozen=True, slots=True)
class Binding:
    """`value_set` is the canonical URL without a version. https://hl7.org/fhir/R4/terminologies.html#strength"""

    strength: str
    value_set: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule in FHIRPath. https://hl7.org/fhir/R4/conformance-rules.html#constraints"""

    key: str
    severity: str
    human: str
    expression: str = ""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a structure. https://hl7.org/fhir/R4/elementdefinition.html"""

    path: str
    name: str
    """Without `[x]`: `value`, not `value[x]` or `valueQuantity`."""
    choice: bool
    types: tuple[str, ...]
    min: int
    max: int | None
    """None where there is no limit."""
    binding: Binding | None
    targets: tuple[str, ...]
    """Resource types that a Reference here may point to; empty where any may be."""
    summary: bool
    modifier: bool
    content: str | None
    """The path whose children this element repeats (`Questionnaire.item`)."""
    plain: bool
    """A bare string that carries no extensions: ids and Extension.url."""
    constraints: tuple[Constraint, ...]

    @property
    def many(self) -> bool:
        return self.max is None

    def json_names(self) -> tuple[tuple[str, str], ...]:
        """The JSON property and the type for each type this element may have."""
        if not self.choice:
            return tuple((self.name, each) for each in self.types) or ((self.name, ""),)
        return tuple((self.name + each[0].upper() + each[1:], each) for each in self.types)


@dataclass(frozen=True, slots=True)
class Structure:
    """A data type or resource type; `elements` holds children in order under the path of their parent."""

    name: str
    kind: str
    abstract: bool
    base: str | None
    constraints: tuple[Constraint, ...]
    """Its own and those of the types it descends from."""
    elements: Mapping[str, tuple[Element, ...]]


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a composite parameter: the parameter it repeats and where to find its value."""

    url: str
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """https://hl7.org/fhir/R4/searchparameter.html"""

    code: str
    type: str
    expression: str
    base: tuple[str, ...]
    targets: tuple[str, ...]
    url: str
    components: tuple[Component, ...]
    multiple_or: bool
    multiple_and: bool


@dataclass(frozen=True, slots=True)
class OperationParameter:
    """https://hl7.org/fhir/R4/operationdefinition-definitions.html#OperationDefinition.parameter"""

    name: str
    use: str
    min: int
    max: int | None
    type: str | None
    parts: tuple[OperationParameter, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """https://hl7.org/fhir/R4/operationdefinition.html"""

    code: str
    url: str
    affects_state: bool
    resources: tuple[str, ...]
    system: bool
    type: bool
    instance: bool
    parameters: tuple[OperationParameter, ...]


def table(name: str) -> Any:
    """A file of `capability/` as plain JSON."""
    return msgspec.json.decode(files("capability").joinpath(name).read_bytes())


@cache
def kinds() -> Mapping[str, tuple[str, bool]]:
    """Kind and abstractness of every type by name."""
    return {name: (kind, abstract) for name, (kind, abstract) in table("structures.json").items()}


@cache
def resource_types() -> frozenset[str]:
    """The 146 types of resource that can exist."""
    return frozenset(name for name, (kind, abstract) in kinds().items() if kind == "resource" and not abstract)


@cache
def structure(type_name: str) -> Structure:
    """The definition of a type; KeyError where R4 has no such type."""
    if type_name not in kinds():
        raise KeyError(type_name)
    found = table(f"structures/{type_name}.json")
    own = tuple(Constraint(**each) for each in found["constraints"])
    inherited = structure(found["base"]).constraints if "base" in found else ()
    groups = {path: tuple(_element(path, row) for row in rows) for path, rows in found["elements"].items()}
    return Structure(
        name=found["name"],
        kind=found["kind"],
        abstract=found["abstract"],
        base=found.get("base"),
        constraints=(*inherited, *own),
        elements=MappingProxyType(groups),
    )


def _element(parent: str, row: dict[str, Any]) -> Element:
    name = row["name"]
    return Element(
        path=f"{parent}.{name}",
        name=name.removesuffix("[x]"),
        choice=name.endswith("[x]"),
        types=tuple(row.get("types", ())),
        min=row.get("min", 0),
        max=None if row.get("max") == MANY else 1,
        binding=Binding(*row["binding"]) if "binding" in row else None,
        targets=tuple(row.get("targets", ())),
        summary=row.get("summary", False),
        modifier=row.get("modifier", False),
        content=row.get("content"),
        plain=row.get("plain", False),
        constraints=tuple(Constraint(**each) for each in row.get("constraints", ())),
    )


@cache
def _all_search_parameters() -> Mapping[str, tuple[SearchParameter, ...]]:
    """Search parameters by the type they are defined on."""
    found: dict[str, tuple[SearchParameter, ...]] = {}
    for row in table("search_parameters.json"):
        parameter = _search_parameter(row)
        for base in parameter.base:
            found[base] = (*found.get(base, ()), parameter)
    return found


def _search_parameter(row: dict[str, Any]) -> SearchParameter:
    return SearchParameter(
        code=row["code"],
        type=row["type"],
        expression=row["expression"],
        base=tuple(row["base"]),
        targets=tuple(row["targets"]),
        url=row["url"],
        components=tuple(Component(**each) for each in row.get("component", ())),
        multiple_or=row.get("multipleOr", True),
        multiple_and=row.get("multipleAnd", True),
    )


@cache
def search_parameters(resource_type: str) -> Mapping[str, SearchParameter]:
    """Parameters of a resource type by code, with those that every resource has (`_id`, `_lastUpdated`, …)."""
    bases = ("Resource", "DomainResource", resource_type)
    every = _all_search_parameters()
    return MappingProxyType({each.code: each for base in bases for each in every.get(base, ())})


@cache
def _value_sets(name: str) -> Mapping[str, Mapping[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = table(name)
    return found


@cache
def codings(value_set: str) -> frozenset[tuple[str, str]] | None:
    """The (system, code) pairs of a value set; None where it cannot be enumerated, such as all media types."""
    url = value_set.partition("|")[0]
    systems = _value_sets("required_codes.json").get(url)
    if systems is None:
        systems = _value_sets("value_sets.json").get(url)
    if systems is None:
        return None
    return frozenset((system, code) for system, found in systems.items() for code in found)


@cache
def codes(value_set: str) -> frozenset[str] | None:
    """The codes of a value set whatever their system; None where it cannot be enumerated."""
    pairs = codings(value_set)
    return None if pairs is None else frozenset(code for _, code in pairs)


@cache
def compartment(name: str) -> Mapping[str, tuple[str, ...]]:
    """For each resource type in the compartment the reference parameters that put it there.

    The resource that the compartment is named after is in its own compartment and is listed, if only with no parameter.
    https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    listed: dict[str, list[str]] = table("compartments.json")[name]
    members = {each: tuple(code for code in found if code != "{def}") for each, found in listed.items()}
    return MappingProxyType({name: (), **members})


@cache
def operations() -> Mapping[str, Operation]:
    """Operations that R4 defines, and those beyond it, by canonical URL.

    Codes repeat: there is an `everything` of Patient, of Encounter and of Group.
    """
    rows = (*table("operations.json"), *table("operations_beyond.json"))
    return MappingProxyType({row["url"]: _operation(row) for row in rows})


def _operation(row: dict[str, Any]) -> Operation:
    return Operation(
        code=row["code"],
        url=row["url"],
        affects_state=row.get("affectsState", False),
        resources=tuple(row.get("resource", ())),
        system=row["system"],
        type=row["type"],
        instance=row["instance"],
        parameters=tuple(map(_operation_parameter, row["parameters"])),
    )


def _operation_parameter(row: dict[str, Any]) -> OperationParameter:
    return OperationParameter(
        name=row["name"],
        use=row.get("use", "in"),
        min=row["min"],
        max=None if row["max"] == MANY else int(row["max"]),
        type=row.get("type"),
        parts=tuple(map(_operation_parameter, row.get("part", ()))),
    )
