"""Signatures of resources: detached JSON Web Signatures over canonical JSON, carried by a Provenance.

RFC 7515 Appendix F, https://hl7.org/fhir/R4/provenance.html, 21 CFR 11.70: bound to one version of one record, so that
a signature cannot be cut out, copied or moved.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from fhir_server.crypto import base64url
from fhir_server.crypto.canonical import FULL, PARTS, canonical, encoded
from fhir_server.fhir import json
from fhir_server.fhir.attestation import FORMAT, JOSE
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource

ALGORITHM: Final = "ES384"
TYPE: Final = "fhir-signature"
"""Nothing else that is signed by keys of this server has this type. RFC 8725 §3.11"""
LONGEST: Final = 8192

HEADER: Final = frozenset({"alg", "kid", "typ", "canon", "sigT", "tgt", "sec", "prv", "mean", "sub", "sid", "amr"})
"""All of these and no others: keys that come with a signature are never looked at."""

Outcome = Literal["valid", "broken", "unknown-key"]


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, as the session knows them; the printed name is in the Provenance."""

    user_id: str
    session: str
    methods: tuple[str, ...]
    """What was shown for this signature. RFC 8176"""


@dataclass(frozen=True, slots=True)
class Finding:
    outcome: Outcome
    why: str

    @property
    def valid(self) -> bool:
        return self.outcome == "valid"


VALID: Final = Finding("valid", "The signature is over this version, byte for byte, and over all that is said here.")


class _Broken(Exception):
    """Why a signature is not good."""


def signed(key: ECKey, provenance: Resource, body: bytes, signer: Signer) -> Resource:
    """The Provenance as it will be stored, now with the signature; `body` is the version that its target names."""
    said = provenance["signature"][0]
    resource = json.trusted(body)
    header = {
        "alg": ALGORITHM,
        "kid": key.kid,
        "typ": TYPE,
        "canon": FULL,
        "sigT": said["when"],
        "mean": said["type"][0]["code"],
        "sub": signer.user_id,
        "sid": digest(signer.session.encode()),
        "amr": list(signer.methods),
        **_digests(resource, provenance),
    }
    compact = jws.serialize_compact(header, canonical(resource), key, registry=_REGISTRY)
    head, _, proof = compact.split(".")
    data = b64encode(f"{head}..{proof}".encode()).decode()
    return {**provenance, "signature": [{**said, "data": data}]}


def examined(provenance: bytes, body: bytes | None, keys: Mapping[str, ECKey]) -> Finding:
    """What has become of a signature: `provenance` and `body`, the version that it names, as they are stored."""
    try:
        carrier = _resource(provenance, "The Provenance")
        header, proof = _opened(carrier)
        kid = header.get("kid")
        key = keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            return Finding("unknown-key", "It was made with a key that is none of this tenant's.")
        _check_header(header)
        if body is None:
            raise _Broken("The version that was signed is not there.")
        resource = _resource(body, "The version that was signed")
        _check_place(carrier, resource)
        _check_said(carrier["signature"][0], header)
        payload = canonical(resource, header["canon"])
        _check_proof(payload, proof, key)
        for name, found in _digests(resource, carrier).items():
            if header[name] != found:
                raise _Broken(_CHANGED[name])
    except _Broken as problem:
        return Finding("broken", str(problem))
    return VALID


def key_of(provenance: Resource) -> str | None:
    """The id of the key of a signature; None where there is no signature of ours."""
    try:
        return str(_opened(provenance)[0]["kid"])
    except (_Broken, KeyError):
        return None


def digest(octets: bytes) -> str:
    return base64url.encoded(sha256(octets).digest())


class _Registry(jws.JWSRegistry):
    """Takes what is as long as a resource may be, written in base64url."""

    max_header_length = LONGEST
    max_payload_length = 2**27


_REGISTRY: Final = _Registry(algorithms=[ALGORITHM], strict_check_header=False)
"""What may be in a header is checked by `HEADER`."""

_CHANGED: Final = {
    "tgt": "It was made over another resource or another version.",
    "sec": "The security labels are not those that were signed.",
    "prv": "What the Provenance says is not what was signed.",
}


def _digests(resource: Resource, provenance: Resource) -> dict[str, str]:
    """Of what is signed, of its labels, and of all that the Provenance says."""
    meta = resource.get("meta", {})
    place = {name: resource.get(name) for name in ("resourceType", "id")} | {"versionId": meta.get("versionId")}
    return {
        "tgt": digest(encoded(place)),
        "sec": digest(encoded(meta.get("security", []))),
        "prv": digest(encoded(_said(provenance))),
    }


def _said(provenance: Resource) -> Resource:
    """The Provenance without the bytes of the signature itself."""
    bare = [{name: value for name, value in each.items() if name != "data"} for each in provenance["signature"]]
    return {**provenance, "signature": bare}


def _resource(body: bytes, what: str) -> Resource:
    """As this server writes: other bytes that mean the same have been changed by somebody else."""
    try:
        resource = json.parse(body)
    except FhirError as problem:
        raise _Broken(f"{what} cannot be read.") from problem
    if json.encode(resource) != body:
        raise _Broken(f"{what} is not written as this server writes.")
    return resource


def _opened(provenance: Resource) -> tuple[dict[str, Any], str]:
    """The header of the one signature, and what proves it."""
    signatures = provenance.get("signature", [])
    if len(signatures) != 1 or signatures[0].get("sigFormat") != JOSE:
        raise _Broken("It is not one signature in the format of this server.")
    parts = _text(signatures[0].get("data", "")).split(".")
    if len(parts) != 3 or parts[1]:
        raise _Broken("It is not a detached signature in compact form.")
    try:
        header = json.parse(_decoded(parts[0]))
    except FhirError as problem:
        raise _Broken("Its header cannot be read.") from problem
    _decoded(parts[2])
    return header, f"{parts[0]}.{{}}.{parts[2]}"


def _check_header(header: Mapping[str, Any]) -> None:
    if header.keys() != HEADER:
        raise _Broken("Its header is not that of a signature of this server.")
    if not all(isinstance(value, str) for name, value in header.items() if name != "amr"):
        raise _Broken("Its header is not that of a signature of this server.")
    if header["alg"] != ALGORITHM or header["typ"] != TYPE or header["canon"] not in PARTS:
        raise _Broken("Its algorithm, type or canonical form is not allowed.")


def _check_place(carrier: Resource, resource: Resource) -> None:
    """21 CFR 11.70: the target names the version that is found there, and nothing else."""
    targets = [each.get("reference", "") for each in carrier.get("target", [])]
    here = f"{resource.get('resourceType')}/{resource.get('id')}/_history/{resource.get('meta', {}).get('versionId')}"
    if targets != [here]:
        raise _Broken(f"It names {', '.join(targets) or 'nothing'}, and what is there is {here}.")


def _check_said(said: Resource, header: Mapping[str, Any]) -> None:
    codes = [each.get("code") for each in said.get("type", [])]
    if said.get("when") != header["sigT"] or codes != [header["mean"]]:
        raise _Broken("The time or the meaning is not the one that was signed.")
    if said.get("targetFormat") != f"{FORMAT};canonicalization={header['canon']}":
        raise _Broken("The format is not the one that was signed.")


def _check_proof(payload: bytes, proof: str, key: ECKey) -> None:
    compact = proof.format(base64url.encoded(payload))
    try:
        jws.deserialize_compact(compact, key, registry=_REGISTRY)
    except (JoseError, ValueError) as problem:
        raise _Broken("The signature does not fit what is stored.") from problem


def version_of(provenance: Resource) -> tuple[str, str, str] | None:
    """Type, id and version of the one target; None where it does not name a version."""
    targets = provenance.get("target", [])
    match = LOCAL_REFERENCE.match(targets[0].get("reference", "")) if len(targets) == 1 else None
    return (match[1], match[2], match[3]) if match and match[3] else None


def _text(data: Any) -> str:
    """Base64 in its one right form: no other characters mean the same signature."""
    try:
        raw = b64decode(str(data).encode(), validate=True)
        if len(raw) > LONGEST or b64encode(raw).decode() != data:
            raise _Broken("It is not base64 in its one right form.")
        return raw.decode("ascii")
    except (binascii.Error, UnicodeError) as problem:
        raise _Broken("It is not base64 in its one right form.") from problem


def _decoded(part: str) -> bytes:
    """RFC 7515 §2"""
    try:
        return base64url.decoded(part)
    except ValueError as problem:
        raise _Broken("It is not base64url in its one right form.") from problem
