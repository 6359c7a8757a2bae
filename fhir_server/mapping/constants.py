"""Shared values that a template writes in one word: `=cc(orgtype|pay)`, `=coding(ActCode|AMB)`, `=uri(alias)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.mapping.grammar import Step
from fhir_server.mapping.problem import suggestion
from fhir_server.mapping.systems import Systems, coding, uri


def _cc(systems: Systems, *codings: str) -> Any:
    return {"coding": [coding(each, systems) for each in codings]}


def _coding(systems: Systems, written: str) -> Any:
    return coding(written, systems)


def _uri(systems: Systems, alias: str) -> Any:
    return uri(alias, systems)


def _concept_text(_: Systems, *words: str) -> Any:
    return {"text": ", ".join(words)}


MAKERS: Mapping[str, tuple[Callable[..., Any], str]] = {
    "cc": (_cc, "CodeableConcept"),
    "coding": (_coding, "Coding"),
    "uri": (_uri, "uri"),
    "cctext": (_concept_text, "CodeableConcept"),
}


def value(step: Step, systems: Systems) -> tuple[Any, str]:
    """The value of a constant and its FHIR type; ValueError where it cannot be made."""
    if step.name not in MAKERS:
        raise ValueError(f"There is no constant '={step.name}'.{suggestion(step.name, MAKERS)}")
    make, gives = MAKERS[step.name]
    try:
        return make(systems, *map(str, step.args)), gives
    except TypeError as fault:
        raise ValueError(f"'={step}' has too many or too few arguments.") from fault
