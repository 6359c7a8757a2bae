"""FHIRPath as constraints use it: whether an expression holds of an element.  https://hl7.org/fhir/R4/fhirpath.html

The engine is `fhirpathpy`. Added to it is what it leaves open: a parser that takes the whole of an expression or
refuses it, the variables and functions of FHIR, and one kind of error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final

from antlr4 import CommonTokenStream, InputStream, ParseTreeWalker
from antlr4.error.ErrorListener import ErrorListener
from fhirpathpy import apply_parsed_path
from fhirpathpy.engine.nodes import ResourceNode, TypeInfo
from fhirpathpy.models import models
from fhirpathpy.parser.ASTPathListener import ASTPathListener
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from fhir_server.fhir import narrative, references
from fhir_server.fhir.definitions import codings
from fhir_server.fhir.resource import Resource

MAX_LENGTH: Final = 10_000
R4: Final = models["r4"]

CONSTANTS: Final = {"sct": "http://snomed.info/sct", "loinc": "http://loinc.org"}
NAMED: Final = {"vs": "http://hl7.org/fhir/ValueSet/", "ext": "http://hl7.org/fhir/StructureDefinition/"}
"""`%vs-name` and `%ext-name` stand for URLs. https://hl7.org/fhir/R4/fhirpath.html#variables"""
_NAMED: Final = re.compile(r"%[`'\"]?((vs|ext)-([A-Za-z0-9\-.]+))")

Functions = Mapping[str, Callable[..., Any]]


class Unevaluable(Exception):
    """An expression that is malformed, or that asks for what is not known here: it neither holds nor fails."""


def holds(
    expression: str,
    value: Any,
    path: str,
    resource: Resource,
    root: Resource | None = None,
    functions: Functions | None = None,
) -> bool:
    """Whether the expression is true of an element; Unevaluable where it cannot tell.

    `path` is where the element is defined (`Patient.contact`, `HumanName`), `resource` what it stands in, `root` what
    contains that; `functions` are more functions, or others than these, each told the values that it is called on.
    """
    found = evaluated(expression, value, path, resource, root, functions)
    if len(found) > 1:
        raise Unevaluable(f"'{expression}' gives {len(found)} values where true or false is expected.")
    return bool(found) and found[0] is not False


def evaluated(
    expression: str,
    value: Any,
    path: str,
    resource: Resource,
    root: Resource | None = None,
    functions: Functions | None = None,
) -> list[Any]:
    """What the expression gives for an element."""
    parsed, named = compiled(expression)
    held_in = resource if root is None else root
    is_resource = isinstance(value, dict) and "resourceType" in value
    node = value if is_resource else ResourceNode.create_node(value, path)
    variables = {**CONSTANTS, **named, "context": node, "resource": resource, "rootResource": held_in}
    known: Functions = {**FUNCTIONS, "resolve": partial(_resolved, held_in), **(functions or {})}
    options = {"userInvocationTable": {name: _callable(name, each) for name, each in known.items()}, "traceFn": _silent}
    # The engine sets it at the first `is` or `as`, and asks for it at `ofType` too.
    setattr(TypeInfo, "model", R4)  # noqa: B010 - it is typed as None
    try:
        found: list[Any] = apply_parsed_path(node, parsed, variables, R4, options)
    except Exception as problem:  # the engine raises bare ones
        raise Unevaluable(f"'{expression}' cannot be evaluated: {problem}") from problem
    return found


@lru_cache(maxsize=10_000)
def compiled(expression: str) -> tuple[Any, dict[str, str]]:
    """The parsed expression, and the URLs that its variables stand for."""
    if len(expression) > MAX_LENGTH:
        raise Unevaluable(f"The expression has {len(expression):,} characters; {MAX_LENGTH:,} are read.")
    listener = _Refusing(expression)
    lexer, tree = FHIRPathLexer(InputStream(expression)), ASTPathListener()
    parser = FHIRPathParser(CommonTokenStream(lexer))
    for each in (lexer, parser):
        each.removeErrorListeners()
        each.addErrorListener(listener)
    try:
        whole = parser.entireExpression()
    except RecursionError as problem:
        raise Unevaluable("The expression is nested too deeply.") from problem
    ParseTreeWalker().walk(tree, whole.expression())
    return tree.parentStack[0], {name: NAMED[kind] + rest for name, kind, rest in _NAMED.findall(expression)}


class _Refusing(ErrorListener):  # type: ignore[misc]
    """Without it a malformed expression is read as far as it makes sense."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    def syntaxError(self, _: Any, __: Any, line: int, column: int, message: str, ___: Any) -> None:
        raise Unevaluable(f"'{self._expression}' is no FHIRPath: line {line}, column {column}: {message}.")


def _callable(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    return {"fn": function, "arity": ARITIES.get(name, {0: []})}


def _silent(_: str, __: Any) -> None:
    """What `trace()` says is for the author of an expression, not for the log of a server."""


def _resolved(root: Resource, found: list[Any]) -> list[Any]:
    """What is contained, or stands in the same Bundle; nothing for what would have to be fetched."""
    texts = [each.get("reference") if isinstance(each, dict) else each for each in found]
    local = [_local(root, text) for text in texts if isinstance(text, str)]
    return [ResourceNode.create_node(each) for each in local if isinstance(each, dict)]


def _local(root: Resource, text: str) -> Resource | None:
    if text.startswith("#"):
        return root if text == "#" else references.contained(root, text[1:])
    entries = root.get("entry", ()) if root.get("resourceType") == "Bundle" else ()
    return next((each.get("resource") for each in entries if each.get("fullUrl") == text), None)


def _has_value(values: list[Any]) -> bool:
    return len(values) == 1 and not isinstance(values[0], dict | list)


def _is_safe(divs: list[Any]) -> bool:
    return all(narrative.problem(each) is None for each in divs)


def _is_member(values: list[Any], value_set: str) -> bool:
    allowed = codings(value_set)
    if allowed is None:
        raise Unevaluable(f"The codes of {value_set} cannot be enumerated here.")
    return any(_is_one(each, allowed) for each in values)


def _is_one(value: Any, allowed: frozenset[tuple[str, str]]) -> bool:
    if isinstance(value, str):
        return any(value == code for _, code in allowed)
    return any((each.get("system"), each.get("code")) in allowed for each in value.get("coding", (value,)))


FUNCTIONS: Final[Functions] = {"hasValue": _has_value, "htmlChecks": _is_safe, "memberOf": _is_member}
"""https://hl7.org/fhir/R4/fhirpath.html#functions; `resolve` is added where it is known what may be resolved."""

ARITIES: Final[Mapping[str, dict[int, list[str]]]] = {
    "memberOf": {1: ["String"]},
    "conformsTo": {1: ["String"]},
    "subsumes": {1: ["Any"]},
    "subsumedBy": {1: ["Any"]},
}
"""The parameters of functions that take any."""
