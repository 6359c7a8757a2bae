"""What signing and amending have in common: who does it has just proven so, and says which version was looked at.

21 CFR 11.50, 11.200
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhir_server.fhir.outcome import conflict, error, not_supported, precondition_failed
from fhir_server.fhir.primitives import whole_milliseconds
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource, instant
from fhir_server.fhir.version import Version
from fhir_server.interactions import preconditions
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations.operation import Call
from fhir_server.store.repository import Repository
from fhir_server.store.signing import Signing
from fhir_server.store.step_up import Proven

PEOPLE: Final = "https://fhir-server.example/sid/user"
SIGNERS: Final = frozenset({"Practitioner", "PractitionerRole", "RelatedPerson", "Patient"})
"""What of a person may stand in a signature. https://hl7.org/fhir/R4/datatypes.html#Signature"""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, as it is stored and as it is written."""

    at: datetime

    @property
    def text(self) -> str:
        return instant(self.at)


def moment(repo: Repository) -> Moment:
    now = repo.attestations.clock()
    return Moment(whole_milliseconds(now))


def check(ctx: Context, call: Call) -> Signing:
    """Before anything is used up: what cannot be signed or amended at all."""
    if call.resource_type == "Provenance":
        raise not_supported("A Provenance is a record of who did what: it is neither signed nor amended.", status=405)
    if ctx.repo.attestations.inside:
        raise not_supported(f"${call.operation.code} cannot be part of a transaction: what was proven is used up once.")
    assert ctx.repo.signing is not None, "a repository of a store can sign"
    return ctx.repo.signing


def looked_at(call: Call) -> int:
    """The version that If-Match names: nobody signs what they have not seen."""
    expected = preconditions.expected_version(call.entry)
    if expected is None:
        raise precondition_failed(f"If-Match is needed: it says which version ${call.operation.code} is about.")
    return expected


def require(version: Version, expected: int) -> None:
    if version.version_id != expected:
        here = f"{version.resource_type}/{version.resource_id}"
        raise conflict(f"{here} has changed: its current version is not '{expected}'. Look at it and try again.")


async def proven(ctx: Context, call: Call, signing: Signing) -> Proven:
    """21 CFR 11.200(a)(1); the name is printed wherever the act is shown: 11.50(a)(1)."""
    found = await signing.step_ups.redeem(ctx.repo.caller, call.given.one("stepUp"), "sign")
    if not found.user.name.strip():
        raise error("required", "The user has no name that could be printed beside the signature.", status=422)
    return found


async def who(repo: Repository, found: Proven) -> Resource:
    """The printed name, with the resource that is about the person where there is one."""
    display = {"display": found.user.name.strip()}
    match = LOCAL_REFERENCE.match(found.user.fhir_user or "")
    if match and match[1] in SIGNERS and await repo.attestations.exists(match[1], match[2]):
        return {"reference": f"{match[1]}/{match[2]}", **display}
    return {"identifier": {"system": PEOPLE, "value": found.user.user_id}, **display}
