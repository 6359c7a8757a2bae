"""Search criteria that stand for one resource: conditional create, update, delete and references.
https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError, error, invalid, multiple_matches, too_costly
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.store.pages import Page
from fhir_server.store.repository import Repository

Criteria = Sequence[tuple[str, str]]

_NO_CRITERIA = "A condition needs search parameters that select a resource; without one it would match everything."


def of_text(text: str, resource_type: str) -> Criteria:
    """The criteria of If-None-Exist or of a conditional reference, with or without the type before the `?`."""
    before, mark, after = text.partition("?")
    if mark and before not in ("", resource_type):
        raise invalid(f"The condition '{text}' is about {before}, but the resource is a {resource_type}.")
    return parse_qsl(after if mark else text, keep_blank_values=True)


async def match(ctx: Context, resource_type: str, criteria: Criteria) -> Version | None:
    """The one resource that matches, if any; 412 where several do."""
    page = await _found(ctx, resource_type, criteria, 2)
    if len(page.versions) > 1:
        raise multiple_matches(f"More than one {resource_type} matches '{urlencode(criteria)}'.")
    return page.versions[0] if page.versions else None


async def matches(ctx: Context, resource_type: str, criteria: Criteria) -> Sequence[Version]:
    """All that match; `too-costly` where they are more than one page may have."""
    page = await _found(ctx, resource_type, criteria, ctx.limits.max_count)
    if page.next is not None:
        raise too_costly(
            f"More than {ctx.limits.max_count:,} {resource_type} match '{urlencode(criteria)}'; narrow the criteria."
        )
    return page.versions


async def _found(ctx: Context, resource_type: str, criteria: Criteria, count: int) -> Page:
    query = parse((resource_type,), [*criteria, ("_count", str(count))], lenient=False, base=ctx.base, words=ctx.words)
    if not query.criteria:
        raise error("processing", _NO_CRITERIA, status=412)
    return await ctx.repo.search(plan(await ctx.repo.resolved(query)))


def canonical(resource_type: str, criteria: Criteria) -> str:
    """The same text for the same criteria, in whatever order they are given."""
    return f"{resource_type}?{urlencode(sorted(criteria))}"


async def claimed_match(ctx: Context, resource_type: str, criteria: Criteria) -> Version | None:
    """As `match`, in a transaction: of two that find nothing at the same time one starts again.

    A snapshot does not see what another transaction is about to create; both write the claim, so that only one goes on.
    What was found in the snapshot needs no claim.
    """
    existing = await match(ctx, resource_type, criteria)
    if existing is None:
        await ctx.repo.claim(canonical(resource_type, criteria))
    return existing


async def present(repo: Repository, resource_type: str, resource_id: str) -> Version | None:
    """The current version, or nothing where there is none that the caller may update."""
    try:
        return await repo.current(resource_type, resource_id, Right.UPDATE)
    except FhirError as problem:
        if problem.status in (404, 410):
            return None
        raise
