"""$sign: somebody signs the version of a record that they have seen, and says what that means.

R4 has no such operation; https://hl7.org/fhir/R4/provenance.html carries the signature. 21 CFR 11.50, 11.70, 11.200
"""

from __future__ import annotations

from joserfc.jwk import ECKey

from fhir_server.access.right import Right
from fhir_server.crypto.canonical import FULL
from fhir_server.crypto.signature import Signer, signed
from fhir_server.fhir.attestation import MEANINGS, Meaning, signing
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import error
from fhir_server.fhir.resource import Resource, identified
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import ceremony
from fhir_server.interactions.operations.operation import Call
from fhir_server.store.repository import Repository
from fhir_server.store.step_up import Proven


async def run(ctx: Context, call: Call) -> EntryResponse:
    """The Provenance with the signature; from then on the record is locked."""
    means = ceremony.check(ctx, call)
    meaning, expected = _meaning(call), ceremony.looked_at(call)
    seen = await ctx.repo.current(call.resource_type, call.resource_id, Right.UPDATE)
    ceremony.require(seen, expected)
    proven = await ceremony.proven(ctx, call, means)
    found = (await means.keys.attesting(ctx.repo.tenant.name))[0]
    key = ECKey.import_key(found.private, {"kid": found.kid})

    async def work(repo: Repository) -> Version:
        """Of the version that was looked at, if it is still the current one when this is committed."""
        version = await repo.current(call.resource_type, call.resource_id, Right.UPDATE)
        ceremony.require(version, expected)
        now = ceremony.moment(repo)
        said = await _provenance(repo, call, version, proven, meaning, now.text)
        complete = identified(said, repo.new_id(), 1, now.at)
        signer = Signer(proven.user.user_id, proven.session, proven.methods)
        provenance = signed(key, complete, version.body, signer)
        await repo.attestations.lock(version, provenance["id"])
        return await repo.attestations.keep(provenance, now.at)

    return EntryResponse.of(200, await ctx.repo.transaction(work))


async def _provenance(
    repo: Repository, call: Call, version: Version, proven: Proven, meaning: Meaning, when: str
) -> Resource:
    return signing(
        target=version.location,
        who=await ceremony.who(repo, proven),
        when=when,
        meaning=meaning,
        canon=FULL,
        reason=call.given.one("reason"),
        labels=version.resource()["meta"].get("security", []),
    )


def _meaning(call: Call) -> Meaning:
    """21 CFR 11.50(a)(3)"""
    given = call.given.one("meaning")
    if given is None:
        raise error("required", "$sign needs the parameter 'meaning': what the signature is for.", status=422)
    if given not in MEANINGS:
        known = ", ".join(dict.fromkeys(each.code for each in MEANINGS.values()))
        raise error("code-invalid", f"'{given}' is no meaning of a signature; {known} are.", status=422)
    return MEANINGS[given]
