"""$amend: the only way to change a record that is locked: a reason, a new version, the old one kept and still signed.

R4 has no such operation. 21 CFR 11.10(e): changes must not obscure what was recorded before.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from fhir_server.access.right import Right
from fhir_server.fhir import finality, validate
from fhir_server.fhir.attestation import amending
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import error, invalid
from fhir_server.fhir.resource import Resource, identified
from fhir_server.fhir.version import Version
from fhir_server.interactions import integrity, patch, profiles, received
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import ceremony
from fhir_server.interactions.operations.operation import Call
from fhir_server.store.repository import Repository
from fhir_server.store.step_up import Proven

Change = Callable[[Resource], Resource]


async def run(ctx: Context, call: Call) -> EntryResponse:
    """The new version, whose status says that it was amended; it waits to be signed again."""
    means = ceremony.check(ctx, call)
    change, expected = _change(call), ceremony.looked_at(call)
    await _seen(ctx.repo, call, expected)
    proven = await ceremony.proven(ctx, call, means)

    async def work(repo: Repository) -> Version:
        prior = await _seen(repo, call, expected)
        before = prior.resource()
        after = finality.amended(change(before))
        validate.check(after)
        inside = ctx.inside(repo)
        kept = await integrity.kept(inside, await profiles.kept(inside, after), before=before)
        version, _ = await repo.update(kept, expected=expected, amends=True)
        await _recorded(repo, call, proven, prior, version)
        return version

    return EntryResponse.of(200, await ctx.repo.transaction(work))


async def _seen(repo: Repository, call: Call, expected: int) -> Version:
    """What is not locked needs no amendment."""
    version = await repo.current(call.resource_type, call.resource_id, Right.UPDATE)
    ceremony.require(version, expected)
    if await repo.attestations.state(call.resource_type, call.resource_id) is None:
        here = f"{call.resource_type}/{call.resource_id}"
        raise error("business-rule", f"{here} is neither signed nor final: change it by PUT or PATCH.", status=409)
    return version


async def _recorded(repo: Repository, call: Call, proven: Proven, prior: Version, version: Version) -> None:
    now = ceremony.moment(repo)
    said = amending(
        target=version.location,
        prior=prior.location,
        who=await ceremony.who(repo, proven),
        when=now.text,
        reason=call.given.one("reason"),
        labels=version.resource()["meta"].get("security", []),
    )
    await repo.attestations.keep(identified(said, repo.new_id(), 1, now.at), now.at)


def _change(call: Call) -> Change:
    """The new content, or what a patch makes of the current one."""
    content, given = call.given.one("resource"), call.given.one("patch")
    if (content is None) == (given is None):
        raise invalid("$amend needs either 'resource', the new content, or 'patch', what changes.")
    if given is not None:
        return patch.received(replace(call.entry, resource=given))
    new = received.with_id(replace(call.entry, resource=content), call.resource_type, call.resource_id)
    validate.check(new)
    return lambda _: new
