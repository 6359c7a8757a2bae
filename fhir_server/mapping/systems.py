"""Short names for the systems of codes and identifiers, from `mappings/systems.yaml`."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.mapping import document
from fhir_server.mapping.document import text
from fhir_server.mapping.problem import suggestion

LOCAL = "LOCAL/"
V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
"""Kinds of identifier. https://hl7.org/fhir/R4/v2/0203/"""
Systems = Mapping[str, str]


class UnknownSystem(ValueError):
    """A short name that no system has."""


def read(raw: str, file: str, base: str) -> Systems:
    """Aliases with `{base}` filled in."""
    found = document.read(raw, file)
    return {name: text(value, file, name).replace("{base}", base) for name, value in found.entries.items()}


def uri(alias: str, systems: Systems) -> str:
    """The URI of an alias; `LOCAL/name` is a code system of this project, and a URI stands for itself."""
    if alias in systems:
        return systems[alias]
    if alias.startswith(LOCAL):
        return local(alias.removeprefix(LOCAL), systems)
    if ":" in alias:
        return alias
    raise UnknownSystem(f"There is no system '{alias}'.{suggestion(alias, systems)}")


def local(name: str, systems: Systems) -> str:
    """The code system that the values of a legacy column make up."""
    return f"{systems['base']}/CodeSystem/{name}"


def coding(written: str, systems: Systems) -> dict[str, str]:
    """`alias|code` or `alias|code|display` as a Coding."""
    alias, _, rest = written.partition("|")
    code, _, display = rest.partition("|")
    if not code:
        raise UnknownSystem(f"'{written}' is not a coding; write system|code or system|code|display.")
    found = {"system": uri(alias.strip(), systems), "code": code.strip()}
    return {**found, "display": display.strip()} if display else found
