"""A SearchParameter resource as a search parameter of its tenant, or every reason why it cannot be one.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import SearchParameter
from fhir_server.fhir.outcome import FhirError, Issue
from fhir_server.fhir.resource import Resource
from fhir_server.search import expression
from fhir_server.search.own import types_of
from fhir_server.search.registry import INDEX, compiled
from fhir_server.search.routes import routes

TYPE = "SearchParameter"
IN_USE = "active"
"""A draft or a retired parameter is kept like any resource and searches nothing."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")
LONGEST = 2000
"""Characters of an expression."""


def defined(resource: Resource) -> SearchParameter | None:
    """What it defines; nothing where it is not in use, or says again what R4 defines. Raises 422."""
    if resource.get("status") != IN_USE or resource["url"] in _published():
        return None
    found = SearchParameter(
        code=resource["code"],
        type=resource["type"],
        expression=resource.get("expression", ""),
        base=tuple(resource["base"]),
        targets=tuple(resource.get("target", ())),
        url=resource["url"],
        components=(),
        multiple_or=resource.get("multipleOr", True),
        multiple_and=resource.get("multipleAnd", True),
    )
    issues = [issue for check in _CHECKS for issue in check(found)] or list(_unindexed(found))
    if issues:
        raise FhirError(issues)
    return found


@cache
def _published() -> frozenset[str]:
    types = definitions.resource_types()
    return frozenset(each.url for name in types for each in definitions.search_parameters(name).values())


def _code(found: SearchParameter) -> Iterator[Issue]:
    if not _CODE.match(found.code):
        yield _wrong("code", f"The code '{found.code}' must be a letter and then up to 63 letters, digits and '-'.")
    for name in sorted(types_of(found.base)):
        if found.code in definitions.search_parameters(name):
            yield _wrong("code", f"'{found.code}' is a search parameter of {name} in R4 already; choose another code.")
            return


def _type(found: SearchParameter) -> Iterator[Issue]:
    if found.type not in INDEX or found.type == "phonetic":
        able = ", ".join(sorted(INDEX.keys() - {"phonetic"}))
        yield _wrong("type", f"A parameter of the type '{found.type}' cannot be indexed here; {able} can.")


def _expression(found: SearchParameter) -> Iterator[Issue]:
    if not found.expression:
        yield _wrong("expression", "Without an expression there is nothing to index.")
    elif len(found.expression) > LONGEST:
        yield _wrong("expression", f"The expression has {len(found.expression)} characters; {LONGEST} are the most.")
    else:
        try:
            expression.parse(found.expression)
        except (SyntaxError, ValueError, RecursionError) as problem:
            yield _wrong("expression", f"The expression '{found.expression}' is not supported: {problem}")


def _target(found: SearchParameter) -> Iterator[Issue]:
    for name in found.targets:
        if name not in definitions.resource_types():
            yield _wrong("target", f"'{name}' is not a resource type.")


_CHECKS: tuple[Callable[[SearchParameter], Iterator[Issue]], ...] = (_code, _type, _expression, _target)


def _unindexed(found: SearchParameter) -> Iterator[Issue]:
    """Types on which the expression leads to nothing that a parameter of this type can hold."""
    for name in sorted(types_of(found.base)):
        reached = routes(name, found)
        if any(each.truth for each in reached) and found.type != "token":
            yield _wrong(
                "type", f"exists() is true or false, which a parameter of the type '{found.type}' cannot hold."
            )
        elif compiled(name, found) is None:
            types = ", ".join(sorted({each.type for each in reached})) or "no element"
            yield _wrong(
                "expression",
                f"On {name} the expression '{found.expression}' leads to {types}, "
                f"which a parameter of the type '{found.type}' cannot hold.",
            )


def _wrong(element: str, diagnostics: str) -> Issue:
    return Issue("business-rule", diagnostics, (f"{TYPE}.{element}",))
