"""Whether what a template says fits the element: types, codes of bindings, targets of references, profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.fhir.definitions import codes, codings, kinds
from fhir_server.mapping import constants
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.convert import CONVERTERS
from fhir_server.mapping.elements import Place
from fhir_server.mapping.features import features
from fhir_server.mapping.grammar import Step
from fhir_server.mapping.kinds import Misfit, Scope, bound, is_mapped
from fhir_server.mapping.maps import SHAPES, Target
from fhir_server.mapping.model import Constant, Leaf, Literal, Output, TableMapping
from fhir_server.mapping.problem import Problem, suggestion
from fhir_server.mapping.systems import UnknownSystem, coding, uri
from fhir_server.mapping.text import folded

Documented = Mapping[str, tuple[str, ...]]
"""Values of columns that the source documents."""

FITS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"string", "markdown"}),
    "item": frozenset({"string", "markdown"}),
    "string": frozenset({"string", "markdown"}),
    "date": frozenset({"date", "dateTime"}),
    "instant": frozenset({"instant", "dateTime"}),
    "positiveInt": frozenset({"positiveInt", "unsignedInt", "integer"}),
    "number": frozenset({"decimal"}),
    "test": frozenset({"boolean"}),
    "url": frozenset({"url", "uri"}),
    "canonical": frozenset({"canonical", "uri"}),
    "Quantity": frozenset({"Quantity", "SimpleQuantity"}),
}
"""Element types that a kind may become; any other kind becomes the type of its own name."""
LEGACY = ("identifier", "value")
"""Every resource that can have an identifier has that of its row."""
RAW = frozenset({"integer", "decimal", "boolean", "date", "timestamp", "timestamptz", "time", "blob"})
"""Kinds of columns that need a converter: databases do not keep their promises about types."""
LITERALS: Mapping[type, frozenset[str]] = {
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "positiveInt", "unsignedInt", "decimal"}),
    Decimal: frozenset({"decimal"}),
    str: frozenset(
        [
            "string",
            "markdown",
            "code",
            "uri",
            "url",
            "canonical",
            "id",
            "date",
            "dateTime",
            "instant",
            "time",
            "oid",
            "uuid",
            "base64Binary",
        ]
    ),
}


def leaf(
    found: Leaf, kind: str, place: Place, values: Documented, table: TableMapping, catalogue: Catalogue
) -> Iterator[Problem]:
    """A value of a row at an element."""
    steps = found.pipe.steps

    def problem(message: str, severity: str = "error") -> Problem:
        return Problem(table.file, found.line, message, severity)

    if is_mapped(kind):
        for step in steps:
            if step.name == "map" and str(step.args[0]) in catalogue.maps:
                yield from _map(found, str(step.args[0]), place, table, catalogue)
                if found.pipe.steps[0] is step:
                    yield from _covered(found, str(step.args[0]), place, values, table, catalogue)
    elif (kind in RAW and not steps) or place.type not in FITS.get(kind, {kind}):
        yield problem(f"{place.path} is a {place.type}; '{found.pipe}' gives {kind}.")
    for step in steps:
        if step.name == "reference":
            yield from map(problem, _target(step, place))
        if CONVERTERS[step.name].gives == "code":
            yield from (
                problem(f"'{word}' is no code of {place.path}.") for word in step.args if not _allowed(str(word), place)
            )
        if step.name == "cc":
            written = coding(str(step.args[0]), catalogue.systems)
            yield from (problem(*each) for each in _coding(written, place))
        if step.name == "absent" and place.primitive and place.type != "code":
            yield problem(f"{place.path} is a {place.type}: 'absent' is for codes and data types.")


def _target(step: Step, place: Place) -> Iterator[str]:
    resource_type = str(step.args[0])
    if place.targets and resource_type not in place.targets:
        yield f"{place.path} refers to {', '.join(place.targets)}, not to {resource_type}."


def _map(found: Leaf, name: str, place: Place, table: TableMapping, catalogue: Catalogue) -> Iterator[Problem]:
    """Every target of a map is something that the element may say."""
    concept_map = catalogue.maps[name]
    if place.type not in SHAPES:
        yield Problem(table.file, found.line, f"{place.path} is a {place.type}: a map gives codes and concepts.")
        return
    for target in concept_map.every_target():
        for message, severity in _map_target(target, place):
            yield Problem(concept_map.file, target.line, f"{message} (used in {table.file}:{found.line})", severity)


def _covered(
    found: Leaf, name: str, place: Place, values: Documented, table: TableMapping, catalogue: Catalogue
) -> Iterator[Problem]:
    """The map knows every value that the source documents."""
    severity = "error" if _is_required(place) else "warning"
    for value in values.get(found.pipe.column.name, ()):
        if catalogue.maps[name].target(value) is None:
            message = f"The map '{name}' has no line for the documented value '{value}'."
            yield Problem(table.file, found.line, message, severity)


def narrowed(values: Documented, when: Iterable[Leaf]) -> Documented:
    """The documented values that remain under the conditions of an output."""
    left = dict(values)
    for condition in when:
        name, steps = condition.pipe.column.name, condition.pipe.steps
        if name in left and len(steps) == 1 and steps[0].name in ("one_of", "none_of"):
            named = {folded(each) for each in steps[0].args}
            wanted = steps[0].name == "one_of"
            left[name] = tuple(each for each in left[name] if (folded(each) in named) is wanted)
    return left


def _map_target(target: Target, place: Place) -> Iterator[tuple[str, str]]:
    if target.code is None or target.code == "*":
        return
    if place.type == "boolean":
        if not isinstance(target.code, bool):
            yield f"'{target.code}' is neither true nor false, as {place.path} must be.", "error"
    elif place.type == "positiveInt":
        if not str(target.code).isdecimal() or target.code == "0":
            yield f"'{target.code}' is no number above zero, as {place.path} must be.", "error"
    elif place.type in ("code", "string"):
        if target.coding or not _allowed(str(target.code), place):
            yield f"'{target.code}' is no code of {place.path}.{_near(str(target.code), place)}", "error"
    elif not target.coding:
        yield f"{place.path} is a {place.type}: write the target as system|code.", "error"
    elif target.coding["code"] != "*":
        yield from _coding(target.coding, place)


def _is_required(place: Place) -> bool:
    return place.binding is not None and place.binding.strength == "required"


def _allowed(code: str, place: Place) -> bool:
    """Whether a code is in the required value set of an element, as far as that can be listed."""
    listed = codes(place.binding.value_set) if place.binding and _is_required(place) else None
    return listed is None or code in listed


def _near(code: str, place: Place) -> str:
    return suggestion(code, (codes(place.binding.value_set) if place.binding else None) or ())


def _coding(written: Mapping[str, str], place: Place) -> Iterator[tuple[str, str]]:
    """A coding under a required binding is in its value set; under an extensible one that is advisable."""
    binding = place.binding
    if binding is None or binding.strength not in ("required", "extensible"):
        return
    listed = codings(binding.value_set)
    if listed is not None and (written["system"], written["code"]) not in listed:
        severity = "error" if binding.strength == "required" else "warning"
        same_code = [system for system, code in listed if code == written["code"]]
        hint = (
            f" The system is {same_code[0]}."
            if same_code
            else suggestion(written["code"], (code for _, code in listed))
        )
        yield f"{written['system']}|{written['code']} is not in the value set of {place.path}.{hint}", severity


def constant(node: Literal | Constant, place: Place, table: TableMapping, catalogue: Catalogue) -> Iterator[Problem]:
    """A value that every resource shares."""

    def problem(message: str, severity: str = "error") -> Problem:
        return Problem(table.file, node.line, message, severity)

    if isinstance(node, Literal):
        if place.type not in LITERALS[type(node.value)]:
            yield problem(f"{place.path} is a {place.type}, not {node.value!r}.")
        elif place.type == "code" and not _allowed(str(node.value), place):
            yield problem(f"'{node.value}' is no code of {place.path}.{_near(str(node.value), place)}")
        return
    try:
        value, gives = constants.value(node.step, catalogue.systems)
    except (UnknownSystem, ValueError) as fault:
        yield problem(str(fault))
        return
    if place.type != gives and not (gives == "uri" and place.type in LITERALS[str]):
        yield problem(f"{place.path} is a {place.type}; '={node.step}' gives {gives}.")
    for written in value.get("coding", [value]) if isinstance(value, dict) else ():
        if "code" in written:
            yield from (problem(*each) for each in _coding(written, place))


def arguments(found: Leaf, table: TableMapping, catalogue: Catalogue, scope: Scope) -> None:
    """Misfit where an argument does not name what it should."""
    for at, step in enumerate(found.pipe.steps):
        for each in bound(step):
            values = each.value if isinstance(each.value, tuple) else (each.value,)
            for value in values:
                if isinstance(value, str) and each.kind in ARGUMENTS:
                    ARGUMENTS[each.kind](value, step, found, table, catalogue)
        if step.name in ("having", "apart_from", "gather", "total", "latest"):
            rows = scope.rows(found.pipe.column)
            if str(step.args[0]) not in rows:
                raise Misfit(
                    f"'{found.pipe}': the rows have no column '{step.args[0]}'.{suggestion(str(step.args[0]), rows)}"
                )
        if step.name in ("reference", "link"):
            _guard(found, at, catalogue)


def _system(value: str, _: Step, __: Leaf, ___: TableMapping, catalogue: Catalogue) -> None:
    try:
        uri(value, catalogue.systems)
    except UnknownSystem as fault:
        raise Misfit(str(fault)) from fault


def _coding_argument(value: str, _: Step, __: Leaf, ___: TableMapping, catalogue: Catalogue) -> None:
    try:
        coding(value, catalogue.systems)
    except UnknownSystem as fault:
        raise Misfit(str(fault)) from fault


def _map_argument(value: str, _: Step, __: Leaf, ___: TableMapping, catalogue: Catalogue) -> None:
    if value not in catalogue.maps:
        raise Misfit(f"There is no map '{value}'.{suggestion(value, catalogue.maps)}")


def _count_argument(value: str, step: Step, *_: Any) -> None:
    if not (value.isascii() and value.isdecimal()):
        raise Misfit(f"'{step}' counts: '{value}' is no whole number.")


def _type_argument(value: str, *_: Any) -> None:
    if value not in kinds() and value not in features():
        raise Misfit(f"R4 has no resource type '{value}'.{suggestion(value, kinds())}")


def _output_argument(value: str, step: Step, _: Leaf, __: TableMapping, catalogue: Catalogue) -> None:
    """`table` or `table#label`: the table is documented, and its declaration, if there is one, has such an output."""
    name, _hash, label = value.partition("#")
    if name not in catalogue.documented:
        raise Misfit(f"The source has no table '{name}'.{suggestion(name, catalogue.documented)}")
    if name in catalogue.tables:
        wanted = f"{step.args[0]}#{label}" if label else str(step.args[0])
        outputs = {output.name for output in catalogue.tables[name].outputs}
        if wanted not in outputs:
            raise Misfit(f"{name} has no output '{wanted}'.{suggestion(wanted, outputs)}")


ARGUMENTS: Mapping[str, Callable[..., None]] = {
    "system": _system,
    "coding": _coding_argument,
    "map": _map_argument,
    "count": _count_argument,
    "type": _type_argument,
    "output": _output_argument,
}


def _guard(found: Leaf, at: int, catalogue: Catalogue) -> None:
    """A reference to an output that does not always exist says when it does."""
    step = found.pipe.steps[at]
    name = str(step.args[1]).partition("#")[0]
    target = catalogue.output(str(step.args[0]), str(step.args[1]))
    before, after = found.pipe.steps[:at], found.pipe.steps[at + 1 :]
    guarded = any(each.name in ("given", "unless") for each in after) or any(each.name == "having" for each in before)
    conditional = target is not None and bool(target.when) and not target.key and not target.merge
    if conditional and not guarded:
        raise Misfit(f"{step.args[0]} of {name} exists only under a condition: guard '{found.pipe}' with given(…).")


def profiles(output: Output, table: TableMapping, catalogue: Catalogue) -> Iterator[Problem]:
    """A profile is known, is for this type, and the template has its mandatory elements."""
    for name in output.profiles:
        if name not in catalogue.profiles:
            yield Problem(
                table.file, output.line, f"There is no profile '{name}'.{suggestion(name, catalogue.profiles)}"
            )
            continue
        profile = catalogue.profiles[name]
        if profile.resource_type != output.resource_type:
            yield Problem(
                table.file, output.line, f"{name} is for {profile.resource_type}, not {output.resource_type}."
            )
        for alternatives in profile.mandatory:
            if not any(path[0] in output.body.children or path == LEGACY for path in alternatives):
                wanted = " or ".join(".".join(path) for path in alternatives)
                yield Problem(
                    table.file, output.line, f"{name} makes {wanted} mandatory; {output.name} does not set it."
                )
