"""One search parameter with its values as a criterion: on the resources themselves, or on others that a reference
connects them with.

https://hl7.org/fhir/R4/search.html#chaining https://hl7.org/fhir/R4/search.html#has
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import FhirError, bad_value, error, not_supported
from fhir_server.search import registry
from fhir_server.search.blinding import check_modifier
from fhir_server.search.index import LISTED
from fhir_server.search.parameter import Parameter
from fhir_server.search.query import Criterion, Join, Query
from fhir_server.search.sensitive import BLINDED, Treatment
from fhir_server.search.term import NOTHING, Asked, Filter, Term, any_of, none_of, present, present_row
from fhir_server.search.types import position, reference, string, words
from fhir_server.search.values import alternatives

HAS = "_has:"
LIST = "_list"
MAX_ALTERNATIVES = 1000
MAX_DEPTH = 5
"""References that one parameter may follow."""


def criterion(types: tuple[str, ...], name: str, value: str, asked: Asked, depth: int = 0) -> Criterion:
    """What `name=value` asks of resources of these types; every type where there is none."""
    if depth > MAX_DEPTH:
        raise too_costly(f"A search parameter follows more than {MAX_DEPTH} references; '{name}' is still to come.")
    if name.startswith(HAS):
        return _referred_to(types, name, value, asked, depth)
    own = _BEYOND.get(name.partition(":")[0])
    if own:
        return own(types, name, value, asked)
    head, dot, rest = name.partition(".")
    return _chained(types, head, rest, value, asked, depth) if dot else _own(types, name, value, asked)


def parameter(code: str, resource_type: str) -> Parameter:
    """The parameter of a type, or with `""` of every type."""
    known = _known(resource_type)
    if code not in known:
        raise not_supported(_unknown(code, resource_type, known))
    registry.refuse_unready(resource_type, code)
    return known[code]


def referring(code: str, resource_type: str) -> Parameter:
    """A parameter whose references can be followed from their end, which canonical URLs cannot."""
    found = parameter(code, resource_type)
    if found.kind != "reference" or "Reference" not in found.types:
        raise bad_value(f"'{code}' of {resource_type or 'every resource type'} has no references that can be followed.")
    return found


def _leading(code: str, resource_type: str) -> Parameter:
    """A parameter that a chain can follow: by references, or by the URLs that it has instead."""
    found = parameter(code, resource_type)
    return found if found.definitions else referring(code, resource_type)


def too_costly(diagnostics: str) -> FhirError:
    return error("too-costly", diagnostics, status=400)


def hint(name: str, known: Iterable[str]) -> str:
    """Near names, as a question."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _own(types: tuple[str, ...], name: str, value: str, asked: Asked) -> Criterion:
    code, _, modifier = name.partition(":")
    values = alternatives(value)
    if len(values) > MAX_ALTERNATIVES:
        raise too_costly(f"'{name}' has {len(values)} values; {MAX_ALTERNATIVES} are the most.")
    if not all(values):
        raise bad_value(f"One of the values of '{name}' is empty: '{value}'.")
    found = [parameter(code, each) for each in types or ("",)]
    terms = [_term(each, name, modifier, values, asked) for name, each in zip(types or ("",), found, strict=True)]
    return Criterion(found[0], modifier, over_types(types, terms))


Wanted = Callable[[tuple[str, ...]], tuple[Criterion, ...]]
"""What is asked of the resources at the other end of a reference, which are of these types."""


def _chained(types: tuple[str, ...], head: str, rest: str, value: str, asked: Asked, depth: int) -> Criterion:
    return referred(types, head, rest, lambda known: (criterion(known, rest, value, asked, depth + 1),))


def referred(types: tuple[str, ...], head: str, rest: str, wanted: Wanted) -> Criterion:
    """`subject:Patient.name`: of what the references point to. https://hl7.org/fhir/R4/search.html#chaining"""
    code, _, named = head.partition(":")
    found = [_leading(code, each) for each in types or ("",)]
    canonical = bool(found[0].definitions)
    if any(bool(each.definitions) != canonical for each in found):
        raise bad_value(f"'{code}' is a reference of some of the types searched for, and a canonical URL of others.")
    targets = tuple(sorted({target for each in found for target in each.definitions or each.targets}))
    if named:
        if named not in targets:
            raise bad_value(f"'{code}' cannot refer to a {named}, only to {' or '.join(targets)}.")
        targets = (named,)
    known = targets if len(targets) == 1 else tuple(each for each in targets if _begins(each, rest))
    if not known:
        raise not_supported(f"None of the types that '{code}' refers to has the search parameter '{rest}'.")
    return Criterion(found[0], named, Term(NOTHING), Join(code, Query.of(known, *wanted(known)), False, canonical))


def _referred_to(types: tuple[str, ...], name: str, value: str, asked: Asked, depth: int) -> Criterion:
    return referred_from(types, name, lambda known, rest: (criterion(known, rest, value, asked, depth + 1),))


def referred_from(
    types: tuple[str, ...], name: str, wanted: Callable[[tuple[str, ...], str], tuple[Criterion, ...]]
) -> Criterion:
    """`_has:Observation:patient:code`: of what refers to them. https://hl7.org/fhir/R4/search.html#has"""
    source, code, rest = _parts(name)
    targets = referring(code, source).targets
    own = tuple(each for each in types or targets if each in targets)
    if not own:
        raise bad_value(f"'{code}' of {source} cannot refer to a {' or '.join(types)}, only to {' or '.join(targets)}.")
    join = Join(code, Query.of((source,), *wanted((source,), rest)), reverse=True, own=own)
    return Criterion(parameter("_id", own[0]), "", Term(NOTHING), join)


def _listed(types: tuple[str, ...], name: str, value: str, asked: Asked) -> Criterion:
    """`_list=42`: of what a List names. https://hl7.org/fhir/R4/search.html#list"""
    _unmodified(name)
    if value.startswith("$"):
        raise not_supported(f"There are no functional lists such as '{value}'; '{LIST}' takes the id of a List.")
    wanted = _own(("List",), "_id", value, asked)
    own = types or tuple(sorted(definitions.resource_types()))
    join = Join(LISTED, Query.of(("List",), wanted), reverse=True, own=own)
    return Criterion(parameter("_id", own[0]), "", Term(NOTHING), join)


def _worded(types: tuple[str, ...], name: str, value: str, asked: Asked) -> Criterion:
    """`_text=fever`, `_content=fever`: of what has the words. https://hl7.org/fhir/R4/search.html#content"""
    _unmodified(name)
    if not asked.words:
        raise not_supported(f"'{name}' is not supported here: this tenant does not have words indexed.")
    for each in types:
        if name == words.TEXT and not any(one.name == "text" for one in definitions.structure(each).elements[each]):
            raise not_supported(f"'{name}' is not a search parameter of {each}, which has no narrative.")
    return Criterion(parameter("_id", types[0] if types else ""), "", Term(words.wanted(name, alternatives(value))))


def _unmodified(name: str) -> None:
    code, colon, _ = name.partition(":")
    if colon:
        raise not_supported(f"'{code}' has no modifiers; '{name}' has one.")


_BEYOND: Mapping[str, Callable[[tuple[str, ...], str, str, Asked], Criterion]] = {
    LIST: _listed,
    words.TEXT: _worded,
    words.CONTENT: _worded,
}
"""Parameters of every type that are not read from an element. https://hl7.org/fhir/R4/search.html#all"""


def _parts(name: str) -> tuple[str, str, str]:
    """Type, reference and the rest of a `_has`."""
    source, code, rest = [*name.removeprefix(HAS).split(":", 2), "", ""][:3]
    if not (source and code and rest):
        raise bad_value(f"'{name}' is not written as _has:Type:reference:parameter.")
    if source not in definitions.resource_types():
        raise bad_value(f"'{source}' in '{name}' is not a resource type.{hint(source, definitions.resource_types())}")
    return source, code, rest


def _begins(resource_type: str, rest: str) -> bool:
    """Whether a type has the parameter that a chain goes on with."""
    if rest.startswith(HAS):
        source, code, _ = _parts(rest)
        return resource_type in referring(code, source).targets
    if rest in _BEYOND:
        return True
    head, dot, _ = rest.partition(".")
    found = _known(resource_type).get(head.partition(":")[0])
    return found is not None and (not dot or bool(found.definitions) or "Reference" in found.types)


def _known(resource_type: str) -> Mapping[str, Parameter]:
    """Parameters of a type, or those that every type has."""
    if resource_type:
        return registry.parameters(resource_type)
    return {code: found for code, found in registry.parameters("Basic").items() if code.startswith("_")}


def _unknown(code: str, resource_type: str, known: Mapping[str, Parameter]) -> str:
    where = resource_type or "every resource type"
    if code in registry.NOT_SUPPORTED:
        return f"The search parameter '{code}' is not supported: {registry.NOT_SUPPORTED[code].lower()}."
    if resource_type and code in definitions.search_parameters(resource_type):
        kind = definitions.search_parameters(resource_type)[code].type
        return f"The search parameter '{code}' of {resource_type} is not supported: it is of type {kind}."
    return f"'{code}' is not a search parameter of {where}.{hint(code, known)}"


def treatment(parameter: Parameter, resource_type: str, asked: Asked) -> Treatment | None:
    """How the entries of a parameter are blinded, where they are."""
    return asked.blinding.policy.treatment(resource_type, parameter) if asked.blinding else None


def _term(parameter: Parameter, resource_type: str, modifier: str, values: Sequence[str], asked: Asked) -> Term:
    how, asked = treatment(parameter, resource_type, asked), asked.on(resource_type)
    check_modifier(parameter, how, modifier)
    if modifier and parameter.kind == "composite":
        raise not_supported(
            f"Modifiers are not used on composite parameters, so not ':{modifier}' on '{parameter.code}'."
        )
    if modifier == "missing":
        return _missing(parameter, values)
    if asked.blinding and how == "string" and not modifier:
        return asked.blinding.starting(parameter.code, [string.parse(each) for each in values])
    found = _condition(parameter, modifier)(parameter, values, asked)
    if asked.blinding and how == "identifier" and modifier == "identifier":
        return asked.blinding.term(parameter.of_identifier(), found)
    return asked.blinding.term(parameter, found) if asked.blinding and how in BLINDED else found


def _condition(parameter: Parameter, modifier: str) -> registry.Condition:
    modifiers = registry.MODIFIERS[parameter.kind]
    if modifier in modifiers:
        return modifiers[modifier]
    if parameter.kind == "reference" and modifier in definitions.resource_types():
        if modifier not in parameter.targets:
            raise bad_value(
                f"'{parameter.code}' cannot refer to a {modifier}, only to {' or '.join(parameter.targets)}."
            )
        return reference.of_type(modifier)
    raise not_supported(
        f"The modifier ':{modifier}' is not supported on '{parameter.code}', which is of type {parameter.kind}. "
        f"Supported are {', '.join(f':{each}' for each in registry.modifiers(parameter))}."
    )


def _missing(parameter: Parameter, values: Sequence[str]) -> Term:
    """https://hl7.org/fhir/R4/search.html#modifiers"""
    if list(values) not in (["true"], ["false"]):
        raise bad_value(f"'{parameter.code}:missing' is true or false, not '{','.join(values)}'.")
    found = _presence(parameter)
    return Term(none_of(found) if values[0] == "true" else found)


def _presence(parameter: Parameter) -> Filter:
    if parameter.kind not in registry.FIELDS:
        return none_of(NOTHING)
    field = registry.FIELDS[parameter.kind]
    if field == position.FIELD:
        return {field: {"$ne": None}}
    if parameter.kind == "token":
        # A concept may have nothing but a text, which is a value all the same.
        return any_of([present("tok", parameter.code), present("str", parameter.code)])
    if field in ("tok", "str"):
        return present(field, parameter.code)
    return present_row(field, parameter.code)


def over_types(types: tuple[str, ...], terms: list[Term]) -> Term:
    """One term for all types; where a parameter means different entries, each type has its own."""
    if all(term == terms[0] for term in terms):
        return terms[0]
    return Term(any_of([{"rt": name, **_apart(term.filter)} for name, term in zip(types, terms, strict=True)]))


def _apart(wanted: Filter) -> Filter:
    return {"$and": [wanted]} if "rt" in wanted else wanted
