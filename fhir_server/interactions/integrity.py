"""References that a write brings: local ones lead to something.  https://hl7.org/fhir/R4/references.html#literal

A tenant that receives resources in any order sets `references` to `free`. A reference is only checked as far as the
caller may read its target: a hidden resource and one that does not exist are refused alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError, Issue
from fhir_server.fhir.resource import Resource
from fhir_server.interactions.context import Context
from fhir_server.interactions.links import Links, Unresolved
from fhir_server.interactions.references import expression_of, rewritten

Key = tuple[str, str]


def enforced(ctx: Context) -> bool:
    return ctx.setting("references") == "enforced"


async def kept(ctx: Context, resource: Resource, *, before: Resource | None = None) -> Resource:
    """The resource as it is stored, its references to this server relative; 422 where one leads nowhere.

    A patch answers for the references that it brings, not for those that were there before.
    """
    links = Links(ctx.base, {}, strict=enforced(ctx))
    stored = linked(resource, links)
    if links.strict:
        for absent in await missing(ctx, links.local.keys() - local(ctx, before)):
            raise nowhere(resource, links.local[absent])
    return stored


def local(ctx: Context, resource: Resource | None) -> frozenset[Key]:
    """What on this server a stored resource refers to."""
    if resource is None:
        return frozenset()
    links = Links(ctx.base, {})
    rewritten(resource, links)
    return frozenset(links.local)


def linked(resource: Resource, links: Links) -> Resource:
    """The resource with its links as they are stored; 422 with the place of one that cannot be."""
    try:
        return rewritten(resource, links)
    except Unresolved as problem:
        raise problem.refusal(expression_of(resource, problem.text)) from problem


def nowhere(resource: Resource, text: str) -> FhirError:
    issue = Issue(
        "not-found", f"The reference '{text}' points to nothing that exists here.", (expression_of(resource, text),)
    )
    return FhirError([issue], status=422)


async def missing(ctx: Context, keys: Iterable[Key]) -> list[Key]:
    """Which of these the caller would not find, among the types that it may read."""
    wanted = [key for key in keys if permitted(ctx, key[0], Right.READ)]
    found = await ctx.repo.existing(wanted) if wanted else frozenset()
    return [key for key in wanted if key not in found]


def permitted(ctx: Context, resource_type: str, right: Right) -> bool:
    """Whether the caller has the right on at least some resources of a type."""
    try:
        restriction(ctx.repo.caller, resource_type, right)
    except FhirError:
        return False
    return True
