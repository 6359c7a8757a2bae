"""Signatures of resources: what they cover, and what is noticed.  21 CFR 11.70"""

from __future__ import annotations

import json as plain
import random
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from joserfc.jwk import ECKey

from fhir_server.crypto.canonical import DATA, FULL
from fhir_server.crypto.signature import Signer, examined, key_of, signed, version_of
from fhir_server.fhir import json
from fhir_server.fhir.attestation import MEANINGS, signing
from fhir_server.fhir.resource import Resource, identified

KEY = ECKey.generate_key("P-384", {"kid": "k1"})
OTHER = ECKey.generate_key("P-384", {"kid": "k2"})
KEYS = {"k1": KEY}
NOW = datetime(2026, 11, 21, 15, 0, 0, 123_000, tzinfo=UTC)
WHEN = "2026-11-21T15:00:00.123Z"
WHO = {"reference": "Practitioner/7", "display": "Ann Lee"}
SIGNER = Signer("u1", "s1", ("pwd", "otp"))
CONTENT: Resource = {
    "resourceType": "Observation",
    "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">71.50 kg</div>'},
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}], "text": "Gewicht é"},
    "valueQuantity": {"value": Decimal("71.50"), "unit": "kg"},
}


def stored(resource: Resource = CONTENT, resource_id: str = "o1", version: int = 3) -> bytes:
    return json.encode(identified(resource, resource_id, version, NOW))


def provenance(**more: Any) -> Resource:
    given: dict[str, Any] = {
        "target": "Observation/o1/_history/3",
        "who": WHO,
        "when": WHEN,
        "meaning": MEANINGS["author"],
        "canon": FULL,
        "reason": None,
        "labels": [],
    }
    return identified(signing(**{**given, **more}), "v1", 1, NOW)


def carried(body: bytes | None = None, key: ECKey = KEY, **more: Any) -> Resource:
    return signed(key, provenance(**more), body or stored(), SIGNER)


CARRIED = carried()


def found(carrier: Resource, body: bytes | None = None) -> str:
    return examined(json.encode(carrier), stored() if body is None else body, KEYS).outcome


def test_a_signature_is_valid_over_what_was_signed() -> None:
    assert found(CARRIED) == "valid"
    assert version_of(CARRIED) == ("Observation", "o1", "3")
    assert key_of(CARRIED) == "k1"


def test_long_resources_are_signed_too() -> None:
    body = stored({**CONTENT, "note": [{"text": "long " * 100_000}]})
    assert found(carried(body), body) == "valid"


def test_it_is_a_detached_signature_in_the_format_that_fhir_names() -> None:
    said = CARRIED["signature"][0]
    head, payload, proof = b64decode(said["data"]).decode().split(".")
    header = plain.loads(urlsafe_b64decode(head + "=="))
    assert (payload, said["sigFormat"]) == ("", "application/jose")
    assert said["targetFormat"] == "application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json"
    assert (header["alg"], header["kid"], header["sigT"], header["amr"]) == ("ES384", "k1", WHEN, ["pwd", "otp"])
    assert "s1" not in header.values(), "a session is named by its digest"
    assert len(proof) == 128


def test_every_byte_of_the_version_counts(counted: Callable[[str, int], None]) -> None:
    body, carrier = stored(), json.encode(CARRIED)
    rng = random.Random(7)
    for place in range(len(body)):
        changed = body[:place] + bytes([body[place] ^ 1 << rng.randrange(8)]) + body[place + 1 :]
        assert examined(carrier, changed, KEYS).outcome == "broken", (place, changed)
    counted("bytes of signed versions changed, all noticed", len(body))


def test_every_byte_of_the_provenance_counts(counted: Callable[[str, int], None]) -> None:
    body, carrier = stored(), json.encode(CARRIED)
    rng = random.Random(8)
    for place in range(len(carrier)):
        changed = carrier[:place] + bytes([carrier[place] ^ 1 << rng.randrange(8)]) + carrier[place + 1 :]
        assert examined(changed, body, KEYS).outcome != "valid", (place, changed[max(0, place - 20) : place + 20])
    counted("bytes of signatures changed, all noticed", len(carrier))


@pytest.mark.parametrize(
    "body",
    [
        stored(version=4),
        stored(resource_id="o2"),
        stored({**CONTENT, "resourceType": "Basic"}),
        stored({**CONTENT, "valueQuantity": {"value": Decimal("71.5"), "unit": "kg"}}),
        stored({**CONTENT, "meta": {}}),
        stored() + b" ",
        json.pretty(stored()),
    ],
    ids=["version", "id", "type", "digits", "labels", "space", "layout"],
)
def test_a_signature_is_over_nothing_else(body: bytes) -> None:
    assert found(CARRIED, body) == "broken"


@pytest.mark.parametrize("place", ["Observation/o2/_history/3", "Observation/o1/_history/4", "Observation/o1"])
def test_a_signature_cannot_be_copied(place: str) -> None:
    """To another record or version, though that says the same word for word. 21 CFR 11.70"""
    moved = {**CARRIED, "target": [{"reference": place}]}
    resource_id, version = ("o2", 3) if "o2" in place else ("o1", 4)
    assert found(moved, stored(resource_id=resource_id, version=version)) == "broken"
    assert found(moved) == "broken"


@pytest.mark.parametrize(
    "change",
    [
        {"recorded": "2026-11-20T15:00:00.123Z"},
        {"agent": [{"who": {"reference": "Practitioner/8", "display": "Ann Lee"}}]},
        {"reason": [{"text": "another"}]},
        {"text": {"status": "generated", "div": "<div>Signed by Bob</div>"}},
        {"id": "v2"},
    ],
    ids=lambda each: next(iter(each)),
)
def test_nothing_that_the_provenance_says_can_be_changed(change: Resource) -> None:
    assert found({**CARRIED, **change}) == "broken"


@pytest.mark.parametrize(
    "change",
    [
        {"when": "2026-11-20T15:00:00.123Z"},
        {"type": [MEANINGS["approval"].coding]},
        {"type": [MEANINGS["author"].coding, MEANINGS["approval"].coding]},
        {"who": {"reference": "Practitioner/7", "display": "Bob Lee"}},
        {"targetFormat": f"application/fhir+json;canonicalization={DATA}"},
        {"sigFormat": "application/signature+xml"},
        {"data": "no base64!"},
        {"data": CARRIED["signature"][0]["data"] + "\n"},
        {"data": b64encode(b"a.b.c").decode()},
        {"data": b64encode(b"x" * 9000).decode()},
        {"data": b64encode(b"%%..%%").decode()},
        {"data": b64encode(b"no dots").decode()},
    ],
)
def test_nothing_that_the_signature_says_can_be_changed(change: Resource) -> None:
    assert found({**CARRIED, "signature": [{**CARRIED["signature"][0], **change}]}) == "broken"


def test_two_signatures_in_one_provenance_are_none() -> None:
    assert found({**CARRIED, "signature": CARRIED["signature"] * 2}) == "broken"
    assert key_of({**CARRIED, "signature": []}) is None


def reheaded(key: ECKey = KEY, **more: Any) -> Resource:
    """Signed again with another header by somebody who has the key."""
    from joserfc import jws

    from fhir_server.crypto.canonical import canonical

    said = CARRIED["signature"][0]
    head = b64decode(said["data"]).decode().split(".")[0]
    header = {name: value for name, value in ({**plain.loads(urlsafe_b64decode(head + "==")), **more}).items() if value}
    registry = jws.JWSRegistry(algorithms=["ES384", "ES256"], strict_check_header=False)
    compact = jws.serialize_compact(header, canonical(json.trusted(stored())), key, registry=registry).split(".")
    return {**CARRIED, "signature": [{**said, "data": b64encode(f"{compact[0]}..{compact[2]}".encode()).decode()}]}


P256 = ECKey.generate_key("P-256", {"kid": "k1"})


@pytest.mark.parametrize(
    "more",
    [
        {"jwk": OTHER.as_dict(private=False)},
        {"typ": "at+jwt"},
        {"typ": None},
        {"canon": "http://example.org/none"},
        {"tgt": "x"},
        {"sub": 7},
        {"mean": MEANINGS["review"].oid},
        {"sigT": "2026-01-01T00:00:00Z"},
        {"prv": "x"},
        {"sec": "x"},
        {"alg": "ES256", "key": P256},
    ],
)
def test_a_header_is_exactly_ours(more: dict[str, Any]) -> None:
    assert found(reheaded()) == "valid"
    key = more.get("key", KEY)
    assert found(reheaded(key, **{name: value for name, value in more.items() if name != "key"})) == "broken"


def test_a_header_in_another_encoding_is_refused() -> None:
    said = CARRIED["signature"][0]
    head, _, proof = b64decode(said["data"]).decode().split(".")
    doubled = b'{"alg":"ES384",' + urlsafe_b64decode(head + "==")[1:]
    again = urlsafe_b64encode(doubled).rstrip(b"=").decode()
    for text in (f"{again}..{proof}", f"{head}=..{proof}"):
        carrier = {**CARRIED, "signature": [{**said, "data": b64encode(text.encode()).decode()}]}
        assert found(carrier) == "broken"


def test_what_another_key_has_signed_is_not_ours() -> None:
    assert found(carried(key=OTHER)) == "unknown-key"
    assert examined(json.encode(carried(key=OTHER)), stored(), {"k2": KEY}).outcome == "broken"
    assert examined(json.encode(CARRIED), stored(), {"k1": KEY, "k2": OTHER}).valid


@pytest.mark.parametrize(
    "header", [{"alg": "RS256"}, {"alg": "ES384", "kid": "theirs", "x5c": ["MII"]}, {"kid": 1}], ids=str
)
def test_what_other_software_has_signed_is_not_called_broken(header: dict[str, Any]) -> None:
    head = urlsafe_b64encode(plain.dumps(header).encode()).rstrip(b"=").decode()
    said = {**CARRIED["signature"][0], "data": b64encode(f"{head}..AAAA".encode()).decode()}
    assert found({**CARRIED, "signature": [said]}) == "unknown-key"


def test_a_version_that_is_gone_cannot_be_vouched_for() -> None:
    assert examined(json.encode(CARRIED), None, KEYS).outcome == "broken"


@pytest.mark.parametrize("meaning", MEANINGS)
def test_who_when_and_why_are_shown_to_people(meaning: str) -> None:
    """21 CFR 11.50(b)"""
    said = provenance(meaning=MEANINGS[meaning], who={"display": "Ann <Lee> & Co"}, reason="because > so")
    shown = said["text"]["div"]
    assert "Ann &lt;Lee&gt; &amp; Co" in shown
    assert WHEN in shown
    assert MEANINGS[meaning].code in shown
    assert "because &gt; so" in shown
