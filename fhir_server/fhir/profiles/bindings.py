"""Whether a coded value is of a value set; unknown where not all of the value set is here.

https://hl7.org/fhir/R4/terminologies.html#strength
"""

from __future__ import annotations

from typing import Any, Final, cast

from fhir_server.fhir.definitions import codings
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology import code_system, value_set
from fhir_server.fhir.terminology.code_system import CodeSystem

Code = tuple[str | None, str]
"""System and code; a bare code has none."""

_UNASKED: Final = object()


def codes(value: Any) -> list[Code]:
    """The codes of a code, Coding, Quantity or CodeableConcept."""
    if isinstance(value, str):
        return [(None, value)]
    if not isinstance(value, dict):
        return []
    listed = value.get("coding", [value])
    return [(each.get("system", ""), each["code"]) for each in listed if "code" in each]


def is_member(library: Library, value: Any, canonical: str) -> bool | None:
    """Whether any code of the value is in the value set; None where that cannot be told."""
    answers = [_contains(library, canonical, each) for each in codes(value)]
    if True in answers:
        return True
    return None if None in answers else False


def _contains(library: Library, canonical: str, code: Code) -> bool | None:
    key = ("member", canonical, code)
    found = library.remembered.get(key, _UNASKED)
    if found is _UNASKED:
        found = library.remembered[key] = _looked_up(library, canonical, code)
    return found if found is None else bool(found)


def _looked_up(library: Library, canonical: str, code: Code) -> bool | None:
    """As a loaded package has the value set, else as R4 has it."""
    defined = library.definition("ValueSet", canonical)
    if defined is not None:
        return _is_in(library, defined, code)
    shipped = codings(canonical)
    if shipped is None:
        return None
    return code in shipped if code[0] is not None else any(code[1] == each for _, each in shipped)


def _is_in(library: Library, defined: Resource, code: Code) -> bool | None:
    known = _known(library)
    system, text = code
    try:
        if system is not None:
            return value_set.find(defined, known, system, text) is not None
        return any(each.code == text for each in value_set.expand(defined, known))
    except FhirError:
        return None


def _known(library: Library) -> value_set.Known:
    def system(url: str, version: str | None) -> CodeSystem | None:
        key = ("system", url, version)
        if key not in library.remembered:
            found = library.definition("CodeSystem", _canonical(url, version))
            library.remembered[key] = code_system.read(found) if found else None
        return cast("CodeSystem | None", library.remembered[key])

    def imported(url: str, version: str | None) -> Resource | None:
        return library.definition("ValueSet", _canonical(url, version)) or _shipped(url)

    return value_set.Known(system, imported)


def _canonical(url: str, version: str | None) -> str:
    return f"{url}|{version}" if version else url


def _shipped(url: str) -> Resource | None:
    """A value set of R4 written out."""
    found = codings(url)
    if found is None:
        return None
    return {"url": url, "compose": {"include": [{"system": each, "concept": [{"code": code}]} for each, code in found]}}
