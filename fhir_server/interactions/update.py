"""update: the next version of a resource, or its first; conditional update.  https://hl7.org/fhir/R4/http.html#update"""

from __future__ import annotations

from fhir_server.fhir import validate
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import conflict, invalid, precondition_failed
from fhir_server.fhir.resource import Resource
from fhir_server.interactions import answers, conditions, integrity, preconditions, profiles, received
from fhir_server.interactions.context import Context
from fhir_server.store.repository import Repository


async def run(ctx: Context, entry: EntryRequest, resource_type: str, resource_id: str) -> EntryResponse:
    resource = received.with_id(entry, resource_type, resource_id)
    validate.check(resource)
    resource = await integrity.kept(ctx, await profiles.kept(ctx, resource))
    if not preconditions.only_create(entry) and not _unversioned(ctx, entry):
        return await stored(ctx, entry, resource)
    return await ctx.repo.transaction(lambda repo: stored(ctx.inside(repo), entry, resource))


async def stored(ctx: Context, entry: EntryRequest, resource: Resource) -> EntryResponse:
    """The resource as its next version, or its first, under the preconditions of the entry."""
    if preconditions.only_create(entry):
        await _must_be_absent(ctx, resource)
    if _unversioned(ctx, entry):
        await _must_be_new(ctx, entry, resource)
    version, created = await ctx.repo.update(resource, expected=preconditions.expected_version(entry))
    return answers.written(entry, 201 if created else 200, version)


def _unversioned(ctx: Context, entry: EntryRequest) -> bool:
    return entry.if_match is None and preconditions.versioned_update(ctx)


async def _must_be_new(ctx: Context, entry: EntryRequest, resource: Resource) -> None:
    """What is there can only be changed by who names its version."""
    existing = await conditions.present(ctx.repo, resource["resourceType"], resource["id"])
    if existing is not None:
        preconditions.require(ctx, entry, existing)


async def _must_be_absent(ctx: Context, resource: Resource) -> None:
    existing = await conditions.present(ctx.repo, resource["resourceType"], resource["id"])
    if existing is not None:
        raise precondition_failed(f"If-None-Match: * asks for a new resource, but {existing.location} exists.")


async def conditional(ctx: Context, entry: EntryRequest, resource_type: str) -> EntryResponse:
    """The resource takes the place of the one that the criteria match. https://hl7.org/fhir/R4/http.html#cond-update"""
    resource = await integrity.kept(ctx, await profiles.kept(ctx, received.checked(entry, resource_type)))

    async def in_place(repo: Repository) -> EntryResponse:
        inside = ctx.inside(repo)
        resource_id = await identity(inside, entry, resource_type)
        if resource_id is None:
            return answers.written(entry, 201, await repo.create(resource))
        return await stored(inside, entry, {**resource, "id": resource_id})

    return await ctx.repo.transaction(in_place)


async def identity(ctx: Context, entry: EntryRequest, resource_type: str) -> str | None:
    """The id that a conditional update writes to; none where the server is to give a new one."""
    own = (entry.resource or {}).get("id")
    existing = await conditions.claimed_match(ctx, resource_type, entry.query)
    if existing is None:
        return await _unmatched(ctx, entry, resource_type, own)
    if own not in (None, existing.resource_id):
        raise invalid(
            f"The resource has the id '{own}', but the criteria match {existing.resource_type}/{existing.resource_id}.",
            expression=f"{resource_type}.id",
        )
    return existing.resource_id


async def _unmatched(ctx: Context, entry: EntryRequest, resource_type: str, own: str | None) -> str | None:
    if entry.if_match is not None:
        raise precondition_failed(f"If-Match is {entry.if_match}, but no {resource_type} matches the criteria.")
    if own is not None and await conditions.present(ctx.repo, resource_type, own) is not None:
        raise conflict(f"No {resource_type} matches the criteria, but {resource_type}/{own} exists.")
    return own
