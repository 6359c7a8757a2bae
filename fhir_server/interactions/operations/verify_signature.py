"""$verify-signature: what every signature of a record is worth: whose, when, of which version, meaning what.

R4 has no such operation. 21 CFR 11.70
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from joserfc.jwk import ECKey

from fhir_server.crypto.signature import examined, version_of
from fhir_server.fhir.attestation import JOSE
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import parameters
from fhir_server.interactions.operations.operation import Call
from fhir_server.store.repository import Repository

Keys = Mapping[str, ECKey]

UNSIGNED: Final = "unsigned"
LEGACY: Final = "https://fhir-server.example/CodeSystem/legacy-source"
POLICY: Final = "https://fhir-server.example/policy/signature/"

CHECKED: Final[Mapping[str, str]] = {
    "content-hash": "the hash of the content was that of the record",
    "signature-hash": "the hash of the signature was that of its parts",
    "password": "the password had been verified",
    "biometric": "a biometric had been verified",
}
"""What a migration says of a signature that it brings, by policy."""


@dataclass(frozen=True, slots=True)
class Examination:
    """`result` is valid, broken or unknown-key; of signatures made elsewhere imported or unsupported."""

    result: str
    why: str
    current: bool = False


UNREADABLE: Final = Examination("broken", "The Provenance cannot be read.")


async def run(ctx: Context, call: Call) -> EntryResponse:
    """Of a Provenance the signature that it carries, of anything else those of all its versions, oldest first."""
    current = await ctx.repo.current(call.resource_type, call.resource_id)
    keys = await _keys(ctx.repo)
    if call.resource_type == "Provenance":
        return parameters.answer([*await _signatures(ctx.repo, current, keys)])
    found = await ctx.repo.attestations.about(call.resource_type, call.resource_id)
    state = await ctx.repo.attestations.state(call.resource_type, call.resource_id)
    head = [parameters.part("state", "code", state or UNSIGNED)]
    here = f"{call.resource_type}/{call.resource_id}"
    return parameters.answer(
        [*head, *[part for each in found for part in await _signatures(ctx.repo, each, keys, here)]]
    )


async def _keys(repo: Repository) -> Keys:
    """Also those that have retired."""
    assert repo.signing is not None, "a repository of a store can sign"
    listed = await repo.signing.keys.attesting(repo.tenant.name)
    return {each.kid: ECKey.import_key(dict(each.public)) for each in listed}


async def _signatures(repo: Repository, carrier: Version, keys: Keys, here: str = "") -> list[Resource]:
    """`here` is the record that is asked about: what else a Provenance is about is for whoever may read that."""
    provenance = _readable(carrier)
    if provenance is None:
        return [{"name": "signature", "part": list(_parts(carrier, [], {}, UNREADABLE))}]
    examination = await _examined(repo, carrier, provenance, keys)
    targets = [each for each in provenance.get("target", ()) if _names(each, here)]
    return [
        {"name": "signature", "part": list(_parts(carrier, targets, each, examination))}
        for each in provenance.get("signature", ())
    ]


def _names(target: Resource, here: str) -> bool:
    return not here or target.get("reference", "").partition("/_history/")[0] == here


def _readable(carrier: Version) -> Resource | None:
    try:
        return carrier.resource()
    except ValueError:
        return None


async def _examined(repo: Repository, carrier: Version, provenance: Resource, keys: Keys) -> Examination:
    """Of a Provenance with several signatures none is ours."""
    formats = [each.get("sigFormat") for each in provenance.get("signature", ())]
    if JOSE not in formats:
        return _elsewhere(provenance, formats)
    place = version_of(provenance)
    version, current = await repo.attestations.version(*place) if place else (None, False)
    finding = examined(carrier.body, version.body if version else None, keys)
    return Examination(finding.outcome, finding.why, current)


def _elsewhere(provenance: Resource, formats: list[str | None]) -> Examination:
    source = [each.get("code") for each in provenance.get("meta", {}).get("tag", ()) if each.get("system") == LEGACY]
    if not source:
        written = ", ".join(each or "without a format" for each in formats)
        return Examination(
            "unsupported", f"This server verifies detached JSON Web Signatures of its own, not {written}."
        )
    policies = provenance.get("policy", ())
    checked = [said for name, said in CHECKED.items() if f"{POLICY}{name}" in policies]
    said = "; ".join(checked) or "nothing could be checked"
    return Examination("imported", f"It was made in {source[0]}, over the record there. When it was migrated: {said}.")


def _parts(carrier: Version, targets: list[Resource], signature: Resource, found: Examination) -> Iterator[Resource]:
    yield parameters.part("result", "code", found.result)
    yield parameters.part("why", "string", found.why)
    yield parameters.part("provenance", "Reference", {"reference": carrier.location})
    yield from (parameters.part("target", "Reference", each) for each in targets)
    yield parameters.part("current", "boolean", found.current)
    yield from (parameters.part("meaning", "Coding", each) for each in signature.get("type", ()))
    for name, type_name in (("who", "Reference"), ("when", "instant")):
        if name in signature:
            yield parameters.part(name, type_name, signature[name])
