"""Search criteria that stand for one resource: conditional create, update, delete and references.
https://hl7.org/fhir/R4/http.html#cond-update
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from fhir_server.access.right import Right
from fhir_server.fhir.outcome import FhirError, error, invalid, multiple_matches
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
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
    query = parse((resource_type,), [*criteria, ("_count", "2")], lenient=False, base=ctx.base)
    if not query.criteria:
        raise error("processing", _NO_CRITERIA, status=412)
    page = await ctx.repo.search(plan(await ctx.repo.resolved(query)))
    if len(page.versions) > 1:
        raise multiple_matches(f"More than one {resource_type} matches '{urlencode(criteria)}'.")
    return page.versions[0] if page.versions else None


async def claimed_match(ctx: Context, resource_type: str, criteria: Criteria) -> Version | None:
    """As `match`, in a transaction: two that ask the same at the same time wait for each other.

    A snapshot does not see what another transaction is about to create; both write the claim, so that only one goes on.
    """
    await ctx.repo.claim(f"{resource_type}?{urlencode(sorted(criteria))}")
    return await match(ctx, resource_type, criteria)


async def present(repo: Repository, resource_type: str, resource_id: str) -> Version | None:
    """The current version, or nothing where there is none that the caller may update."""
    try:
        return await repo.current(resource_type, resource_id, Right.UPDATE)
    except FhirError as problem:
        if problem.status in (404, 410):
            return None
        raise
