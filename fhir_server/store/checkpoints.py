"""Checkpoints: where all chains of a tenant stand, signed with its key, each with the hash of the one before it.

The leaves of the tree are the heads of the chains that were open since then; where those before stood is held by the
hash. https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from fhir_server.crypto import chain, ecdsa
from fhir_server.crypto.chain import START
from fhir_server.store.anchor import Anchored
from fhir_server.store.keys import SigningKey
from fhir_server.store.layout import Document
from fhir_server.store.rows import milliseconds, moment_of

Heads = Mapping[str, tuple[int, bytes]]
"""By writer: the number of its last entry, and its hash."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`entries` counts those of all chains so far."""

    tenant: str
    number: int
    at: int
    heads: Heads
    entries: int
    previous: bytes
    kid: str = ""
    signature: bytes = b""

    @property
    def leaves(self) -> list[bytes]:
        return [chain.leaf(writer, *self.heads[writer]) for writer in sorted(self.heads)]

    @property
    def root(self) -> bytes:
        return chain.root(self.leaves)

    @property
    def statement(self) -> bytes:
        words = f"checkpoint|{self.tenant}|{self.number}|{self.at}|{self.entries}|{self.kid}|"
        return words.encode() + self.root + self.previous

    @property
    def hash(self) -> bytes:
        return sha256(self.statement).digest()


def following(before: Checkpoint | None, tenant: str, heads: Heads, key: SigningKey) -> Checkpoint:
    """The next one, signed."""
    known = before.heads if before else {}
    more = sum(seq - known.get(writer, (-1, b""))[0] for writer, (seq, _) in heads.items())
    at, number, entries = milliseconds(datetime.now(UTC)), 1, more
    if before is not None:
        at, number, entries = max(at, before.at), before.number + 1, before.entries + more
    unsigned = Checkpoint(tenant, number, at, heads, entries, before.hash if before else START, key.kid)
    return signed(unsigned, key.private)


def signed(found: Checkpoint, private: str) -> Checkpoint:
    covered = (found.tenant, found.number, found.at, found.heads, found.entries, found.previous, found.kid)
    return Checkpoint(*covered, ecdsa.signature(private, found.statement))


def fault(found: Checkpoint, before: Checkpoint | None, keys: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What is wrong with a checkpoint that should follow another; `keys` are the public keys of the tenant by id."""
    expected = 1 if before is None else before.number + 1
    if found.number != expected:
        return f"checkpoint {expected} is missing"
    if found.previous != (START if before is None else before.hash):
        return "it does not follow the one before it"
    if found.kid not in keys:
        return "it is signed with a key that is none of this tenant"
    if not ecdsa.is_good(keys[found.kid], found.statement, found.signature):
        return "its signature is not good"
    return _went_back(found, before)


def _went_back(found: Checkpoint, before: Checkpoint | None) -> str | None:
    known = before.heads if before else {}
    for writer, (seq, head) in found.heads.items():
        last, last_head = known.get(writer, (-1, b""))
        if seq < last or (seq == last and head != last_head):
            return f"the chain of writer {writer} is shorter than it was, or another"
    return None


def stored(found: Checkpoint) -> Document:
    return {
        "_id": key(found.tenant, found.number),
        "t": found.tenant,
        "n": found.number,
        "at": moment_of(found.at),
        "heads": [[writer, seq, head] for writer, (seq, head) in sorted(found.heads.items())],
        "root": found.root,
        "entries": found.entries,
        "p": found.previous,
        "h": found.hash,
        "kid": found.kid,
        "sig": found.signature,
    }


def checkpoint_in(document: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        document["t"],
        document["n"],
        milliseconds(document["at"].replace(tzinfo=UTC)),
        {writer: (seq, bytes(head)) for writer, seq, head in document["heads"]},
        document["entries"],
        bytes(document["p"]),
        document["kid"],
        bytes(document["sig"]),
    )


def told(found: Checkpoint) -> Anchored:
    """What an anchor keeps of it."""
    at = moment_of(found.at).isoformat(timespec="milliseconds")
    root, own = found.root.hex(), found.hash.hex()
    return Anchored(found.tenant, found.number, at, hash=own, root=root, entries=found.entries, kid=found.kid)


def key(tenant: str, number: int) -> str:
    return f"{tenant}|{number:012}"
