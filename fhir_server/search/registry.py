"""Which search parameters work, by resource type; what is known and not supported, by name.

Those of R4 work for every tenant; what a tenant adds to them is in force for as long as something is done for it.
https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from fhir_server.fhir import definitions
from fhir_server.fhir.definitions import SearchParameter
from fhir_server.fhir.outcome import transient
from fhir_server.search import composites
from fhir_server.search.blinding import Blinding
from fhir_server.search.own import NONE, Own, ParameterSet
from fhir_server.search.parameter import Parameter
from fhir_server.search.routes import Route, routes
from fhir_server.search.term import Asked, Term
from fhir_server.search.types import (
    coded,
    composite,
    date,
    identity,
    number,
    phonetic,
    position,
    quantity,
    reference,
    string,
    token,
    uri,
)

Condition = Callable[[Parameter, Sequence[str], Asked], Term]

INDEX: dict[str, Mapping[str, Callable[[Any], list[Any]]]] = {
    "string": string.INDEX,
    "phonetic": phonetic.INDEX,
    "token": token.INDEX,
    "reference": reference.INDEX,
    "date": date.INDEX,
    "number": number.INDEX,
    "quantity": quantity.INDEX,
    "uri": uri.INDEX,
    "near": position.INDEX,
}
"""By kind of parameter and FHIR type: the entries of a value."""

MODIFIERS: dict[str, Mapping[str, Condition]] = {
    "string": string.MODIFIERS,
    "phonetic": phonetic.MODIFIERS,
    "token": {**token.MODIFIERS, **coded.MODIFIERS},
    "reference": reference.MODIFIERS,
    "date": date.MODIFIERS,
    "number": number.MODIFIERS,
    "quantity": quantity.MODIFIERS,
    "uri": uri.MODIFIERS,
    "composite": composite.MODIFIERS,
    "_id": identity.MODIFIERS,
    "_lastUpdated": {"": date.stamped},
    "near": position.MODIFIERS,
}
"""By kind of parameter and modifier: the condition that values make."""

FIELDS: dict[str, str] = {
    "string": "str",
    "phonetic": "str",
    "token": "tok",
    "reference": "tok",
    "uri": "tok",
    "date": "dat",
    "number": "num",
    "quantity": "num",
    "near": "geo",
}
"""By kind of parameter: the index array, or the field, that holds its entries."""

NOT_SUPPORTED: dict[str, str] = {
    "_contained": "Contained resources are not searched here",
    "_containedType": "Contained resources are not searched here",
    "_query": "There are no named queries",
    "_score": "Results have no score",
}
"""Parameters of the specification that this server refuses, and why."""


_OWN: ContextVar[Own] = ContextVar("own", default=NONE)
"""What the search of the tenant works with for which something is being done."""


@contextmanager
def using(own: Own) -> Iterator[None]:
    """With the search parameters of a tenant."""
    before = _OWN.set(own)
    try:
        yield
    finally:
        _OWN.reset(before)


def parameters(resource_type: str, added: ParameterSet | None = None) -> Mapping[str, Parameter]:
    """The parameters of a type by code, also those that are still being indexed."""
    return _known(resource_type, (added or _OWN.get().added).on(resource_type))


def unready(resource_type: str, code: str) -> str | None:
    """Why a parameter cannot be searched with yet; nothing where it can."""
    waiting = _OWN.get().unready
    found = parameters(resource_type).get(code) if waiting else None
    return waiting.get(found.url) if found else None


def refuse_unready(resource_type: str, code: str) -> None:
    """503 for a parameter that is still being indexed: it would find only some of what there is."""
    progress = unready(resource_type, code) if resource_type else None
    if progress is not None:
        raise transient(f"The search parameter '{code}' of {resource_type} is not ready: {progress}", retry_after=5)


def settled() -> bool:
    """Whether a search means the same as long as the same parameters are in force, and may be kept in memory."""
    own = _OWN.get()
    return not own.unready and own.blinding is None


def in_force() -> ParameterSet:
    """What the tenant adds, as the key of what is remembered about it."""
    return _OWN.get().added


def blinding() -> Blinding | None:
    """How the index of the tenant hides values; None where it does not."""
    return _OWN.get().blinding


@lru_cache(maxsize=4096)
def _known(resource_type: str, added: ParameterSet) -> Mapping[str, Parameter]:
    defined = [*definitions.search_parameters(resource_type).values(), *added.definitions]
    found = (compiled(resource_type, each) for each in defined)
    return MappingProxyType({each.code: each for each in found if each})


def compiled(resource_type: str, definition: SearchParameter) -> Parameter | None:
    """Nothing where the search type, or every FHIR type that the expression leads to, cannot be indexed."""
    if definition.type == "composite":
        return _combined(resource_type, definition)
    kind = definition.code if definition.code in MODIFIERS else definition.type
    able = INDEX.get(kind, INDEX.get(definition.type))
    if able is None:
        return None
    kept = tuple(each for each in routes(resource_type, definition) if each.truth or each.type in able)
    types = frozenset("boolean" if each.truth else each.type for each in kept)
    if not kept:
        return None
    named = _named(definition) if kind == "reference" and "Reference" not in types else ()
    return Parameter(definition.code, kind, definition.url, kept, types, _targets(kept, definition), named)


@cache
def canonical_types() -> frozenset[str]:
    """Types that are found by a canonical URL and its version. https://hl7.org/fhir/R4/references.html#canonical"""
    every = definitions.resource_types()
    return frozenset(each for each in every if definitions.search_parameters(each).keys() >= {"url", "version"})


def _named(definition: SearchParameter) -> tuple[str, ...]:
    return tuple(sorted(canonical_types().intersection(definition.targets) or canonical_types()))


def _combined(resource_type: str, definition: SearchParameter) -> Parameter | None:
    contexts = composites.contexts(resource_type).get(definition.code, ())
    return (
        Parameter(definition.code, "composite", definition.url, (), frozenset(), (), (), contexts) if contexts else None
    )


def _targets(found: Sequence[Route], definition: SearchParameter) -> tuple[str, ...]:
    """What the elements of this type may refer to, which is often less than the parameter may over all its types."""
    every = definitions.resource_types()
    listed = [route.targets for route in found if route.type == "Reference"]
    narrow = every if not all(listed) else every & {each for targets in listed for each in targets}
    allowed = narrow & set(definition.targets) if definition.targets else narrow
    return tuple(sorted(allowed or narrow))


def supported(resource_type: str) -> Mapping[str, SearchParameter]:
    """The definitions of the parameters that work on a type, as a CapabilityStatement lists them."""
    own = {each.code: each for each in in_force().on(resource_type).definitions}
    defined = {**definitions.search_parameters(resource_type), **own}
    return {code: defined[code] for code in sorted(parameters(resource_type)) if not unready(resource_type, code)}


def modifiers(parameter: Parameter) -> tuple[str, ...]:
    """The modifiers that a parameter understands, `missing` and those of its kind; a composite understands none."""
    if parameter.kind == "composite":
        return ()
    return ("missing", *(name for name in MODIFIERS[parameter.kind] if name))
