"""A search whose conditions name value sets or hierarchies, understood once these have been looked up.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fhir_server.fhir.outcome import FhirError, bad_value, not_supported, too_costly
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.terminology.code_system import CodeSystem
from fhir_server.fhir.terminology.need import Need
from fhir_server.fhir.terminology.value_set import canonical, unknown_system, unknown_value_set
from fhir_server.interactions.context import Context
from fhir_server.interactions.terminology import Terminology
from fhir_server.search.lookup import Codings, Lookup, Unresolved
from fhir_server.search.query import Query
from fhir_server.search.remembered import understood

MOST: Final = 20
"""Value sets and hierarchies that one search may name."""


async def parsed(
    ctx: Context, resource_types: tuple[str, ...], query: tuple[tuple[str, str], ...], *, lenient: bool
) -> Query:
    """The search, read again with each lookup that it turns out to need."""
    known: dict[Lookup, Codings] = {}
    while True:
        try:
            return understood(
                resource_types,
                query,
                lenient=lenient,
                base=ctx.base,
                max_count=ctx.limits.max_count,
                default_count=ctx.limits.default_count,
                known=known,
                words=ctx.words,
                contained=True,
            )
        except Unresolved as missing:
            if len(known) == MOST:
                raise too_costly(f"The search names more than {MOST} value sets and hierarchies.") from None
            lookup = missing.lookup
        known[lookup] = await _found(ctx, lookup)


async def _found(ctx: Context, lookup: Lookup) -> Codings:
    """What is unknown here makes the search a bad request: it is not the thing that was asked for."""
    try:
        return await _RELATIONS[lookup.relation](ctx, lookup.value)
    except FhirError as problem:
        if problem.status in (404, 410):
            raise FhirError(problem.issues, status=400) from problem
        raise


async def _in(ctx: Context, value: str) -> Codings:
    terminology = Terminology(ctx.repo)
    return frozenset(each.key for each in await terminology.expanded(await _value_set(ctx, terminology, value)))


async def _value_set(ctx: Context, terminology: Terminology, value: str) -> Resource:
    """By canonical URL, or as a resource of this server."""
    local = value.removeprefix(f"{ctx.base}/")
    if local.startswith("ValueSet/") and local.count("/") == 1:
        return (await ctx.repo.current("ValueSet", local.removeprefix("ValueSet/"))).resource()
    found = await terminology.value_set(*canonical(value))
    if found is None:
        raise unknown_value_set(value)
    return found


async def _below(ctx: Context, value: str) -> Codings:
    system, code = await _place(ctx, value, lambda code: Need(codes={code}, below={code}))
    return frozenset((system.url, each) for each in system.branch(code))


async def _above(ctx: Context, value: str) -> Codings:
    system, code = await _place(ctx, value, lambda code: Need(codes={code}, above={code}))
    system.subsumes(code, code)
    return frozenset((system.url, each) for each in (*system.ancestors(code), code))


async def _place(ctx: Context, value: str, need: Callable[[str], Need]) -> tuple[CodeSystem, str]:
    """A code, as its system writes it, with enough of the system to see what is around it."""
    url, _, code = value.partition("|")
    system = await Terminology(ctx.repo).code_system(url, None, need(code))
    if system is None:
        raise unknown_system(url)
    if not system.whole:
        raise not_supported(f"The code system {url} is not here as a whole: its hierarchy is not known.")
    found = system.find(code)
    if found is None:
        raise bad_value(f"The code system {url} has no code '{code}'.")
    return system, found.code


_RELATIONS: Final[dict[str, Callable[[Context, str], Awaitable[Codings]]]] = {
    "in": _in,
    "below": _below,
    "above": _above,
}
