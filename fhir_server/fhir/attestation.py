"""What a Provenance says of who signed or amended a record: who, when, what it means.  https://hl7.org/fhir/R4/provenance.html

21 CFR 11.50: printed name, date and time, and meaning, in every form that people read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from fhir_server.fhir.resource import Resource

SYSTEM: Final = "urn:iso-astm:E1762-95:2013"
OID: Final = "1.2.840.10065.1.12.1."

FORMAT: Final = "application/fhir+json"
JOSE: Final = "application/jose"

PARTICIPANT: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
COMPLETION: Final = "http://terminology.hl7.org/CodeSystem/v3-DocumentCompletion"
OPERATION: Final = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"

Coding = dict[str, str]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Why somebody signs. https://hl7.org/fhir/R4/valueset-signature-type.html"""

    code: str
    number: int
    display: str
    part: str
    """That of the signer, as a Provenance names it."""
    completion: str = "AU"

    @property
    def oid(self) -> str:
        return f"{OID}{self.number}"

    @property
    def coding(self) -> Coding:
        return {"system": SYSTEM, "code": self.oid, "display": self.display}

    @property
    def words(self) -> str:
        return f"{self.code} ({self.display})"


_MEANINGS: Final = (
    Meaning("author", 1, "Author's Signature", "author"),
    Meaning("coauthor", 2, "Coauthor's Signature", "author"),
    Meaning("approval", 5, "Verification Signature", "legal", "LA"),
    Meaning("validation", 6, "Validation Signature", "verifier"),
    Meaning("consent", 7, "Consent Signature", "attester"),
    Meaning("witness", 8, "Signature Witness Signature", "attester"),
    Meaning("review", 13, "Review Signature", "verifier"),
    Meaning("addendum", 15, "Addendum Signature", "author"),
    Meaning("modification", 16, "Modification Signature", "author"),
    Meaning("administrative", 17, "Administrative (Error/Edit) Signature", "attester"),
)
"""ASTM has no word for approval: the signature of who verifies comes nearest, as for signatures of legacy systems."""

MEANINGS: Final[Mapping[str, Meaning]] = {name: each for each in _MEANINGS for name in (each.code, each.oid)}
_PARTS: Final = {"author": "Author", "legal": "Legal", "verifier": "Verifier", "attester": "Attester"}
_COMPLETIONS: Final = {"AU": "authenticated", "LA": "legally authenticated"}
_OPERATIONS: Final = {"UPDATE": "revise"}


def signing(
    *, target: str, who: Resource, when: str, meaning: Meaning, canon: str, reason: str | None, labels: list[Any]
) -> Resource:
    """The Provenance of a signature, which is then put into it."""
    said = [f"Signed by {who['display']} on {when}. Meaning: {meaning.words}.", f"What was signed: {target}."]
    return {
        "resourceType": "Provenance",
        **_labelled(labels),
        "text": _narrative([*said, *([f"Reason: {reason}"] if reason else [])]),
        "target": [{"reference": target}],
        "recorded": when,
        **({"reason": [{"text": reason}]} if reason else {}),
        "activity": _concept(COMPLETION, meaning.completion, _COMPLETIONS),
        "agent": [{"type": _concept(PARTICIPANT, meaning.part, _PARTS), "who": who}],
        "signature": [
            {
                "type": [meaning.coding],
                "when": when,
                "who": who,
                "targetFormat": f"{FORMAT};canonicalization={canon}",
                "sigFormat": JOSE,
            }
        ],
    }


def amending(*, target: str, prior: str, who: Resource, when: str, reason: str, labels: list[Any]) -> Resource:
    """The Provenance of an amendment: why, by whom, and of which version."""
    said = [f"Amended by {who['display']} on {when}.", f"Reason: {reason}", f"{target} takes the place of {prior}."]
    return {
        "resourceType": "Provenance",
        **_labelled(labels),
        "text": _narrative(said),
        "target": [{"reference": target}],
        "recorded": when,
        "reason": [{"text": reason}],
        "activity": _concept(OPERATION, "UPDATE", _OPERATIONS),
        "agent": [{"type": _concept(PARTICIPANT, "author", _PARTS), "who": who}],
        "entity": [{"role": "revision", "what": {"reference": prior}}],
    }


def _labelled(labels: list[Any]) -> Resource:
    """As confidential as what it is about."""
    return {"meta": {"security": labels}} if labels else {}


def _narrative(said: list[str]) -> Resource:
    text = "".join(f"<p>{escape(each, quote=False)}</p>" for each in said)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}


def _concept(system: str, code: str, displays: Mapping[str, str]) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": displays[code]}]}
