"""create: a new resource under an id of the server's; conditional create.  https://hl7.org/fhir/R4/http.html#create"""

from __future__ import annotations

from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.interactions import answers, conditions, integrity, profiles, received
from fhir_server.interactions.context import Context
from fhir_server.store.repository import Repository


async def run(ctx: Context, entry: EntryRequest, resource_type: str) -> EntryResponse:
    resource = await integrity.kept(ctx, await profiles.kept(ctx, received.checked(entry, resource_type)))
    if entry.if_none_exist is None:
        return answers.written(entry, 201, await ctx.repo.create(resource))
    criteria = conditions.of_text(entry.if_none_exist, resource_type)
    existing = await conditions.match(ctx, resource_type, criteria)
    if existing is not None:  # What is there already needs no transaction.
        return answers.written(entry, 200, existing)

    async def unless_it_exists(repo: Repository) -> EntryResponse:
        existing = await conditions.claimed_match(ctx.inside(repo), resource_type, criteria)
        if existing is not None:
            return answers.written(entry, 200, existing)
        return answers.written(entry, 201, await repo.create(resource))

    return await ctx.repo.transaction(unless_it_exists)
