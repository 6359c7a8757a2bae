"""Chains of records: each entry holds the hash of the one before it, and a code that only who has the key can make.

No two records are written alike before they are hashed. The tree over the heads of chains, and the proofs that one is
in it, are those of RFC 6962 §2.1.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Literal

Kind = Literal["open", "event", "recovered", "received", "close"]
"""An entry is about an event that its own process recorded, that another found without an entry, or that was sent."""

START = bytes(32)
"""What the first entry of a chain has for the hash of the one before it, and an entry about no event for a digest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the chain of one writer; `at` is in milliseconds and, like `digest`, that of the event.

    `hash` is as it was stored, `expected` what it must be.
    """

    tenant: str
    writer: str
    seq: int
    kind: Kind
    event: str
    version: int
    digest: bytes
    at: int
    previous: bytes
    hash: bytes = b""

    @property
    def expected(self) -> bytes:
        """Names, ids and numbers hold no bar, and the two hashes at the end have one length each."""
        words = f"{self.tenant}|{self.writer}|{self.seq}|{self.kind}|{self.event}|{self.version}|{self.at}|"
        return sha256(words.encode() + self.digest + self.previous).digest()


def opening(tenant: str, writer: str, at: int) -> Entry:
    """The first entry of a chain."""
    return _hashed(Entry(tenant, writer, 0, "open", "", 0, START, at, START))


def following(before: Entry, kind: Kind, event: str, version: int, body_digest: bytes, at: int) -> Entry:
    return _hashed(
        Entry(before.tenant, before.writer, before.seq + 1, kind, event, version, body_digest, at, before.hash)
    )


def ending(before: Entry, at: int) -> Entry:
    """The tombstone of a chain."""
    return following(before, "close", "", 0, START, at)


def _hashed(entry: Entry) -> Entry:
    object.__setattr__(entry, "hash", entry.expected)
    return entry


def digest(body: bytes) -> bytes:
    """Of a record, as the exact bytes that are kept of it."""
    return sha256(body).digest()


def code(key: bytes, entry_hash: bytes) -> bytes:
    """What whoever can write entries, and has no key, cannot make. RFC 2104"""
    return _authenticated(key, b"entry" + entry_hash)


def mark(key: bytes, tenant: str, event: str, version: int, body_digest: bytes) -> bytes:
    """The same for a record that is in no chain yet: only a marked one is taken into a chain later."""
    return _authenticated(key, f"row|{tenant}|{event}|{version}|".encode() + body_digest)


def _authenticated(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256, with the key taken in once for all that is authenticated with it."""
    found = _keyed(key).copy()
    found.update(message)
    return found.digest()


@lru_cache(maxsize=4096)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


def same(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)


def fault(entry: Entry, entry_code: bytes, before: Entry | None, key: bytes) -> str | None:
    """What is wrong with an entry as it is stored, where it should follow another or, without one, be the first."""
    expected = 0 if before is None else before.seq + 1
    previous = START if before is None else before.hash
    if entry.seq > expected:
        return (
            f"entries {expected} to {entry.seq - 1} are missing"
            if entry.seq > expected + 1
            else (f"entry {expected} is missing")
        )
    if entry.seq < expected:
        return "there are two entries of this number"
    if before is not None and before.kind == "close":
        return "it follows the end of its chain"
    if (entry.kind == "open") != (before is None):
        return "a chain begins with its opening, and only with that"
    if entry.previous != previous:
        return "it does not follow the entry before it"
    if entry.hash != entry.expected:
        return "it was changed"
    if not same(code(key, entry.hash), entry_code):
        return "it was not written by this server"
    return None


def leaf(writer: str, seq: int, head: bytes) -> bytes:
    """The head of a chain as a leaf of the tree."""
    return f"{writer}|{seq}|".encode() + head


def root(leaves: Sequence[bytes]) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc6962#section-2.1"""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = _split(len(leaves))
    return _node(root(leaves[:split]), root(leaves[split:]))


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes that lead from a leaf to the root. https://www.rfc-editor.org/rfc/rfc6962#section-2.1.1"""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*proof(leaves[:split], index), root(leaves[split:])]
    return [*proof(leaves[split:], index - split), root(leaves[:split])]


def proves(path: Sequence[bytes], found: bytes, index: int, size: int, top: bytes) -> bool:
    """Whether a leaf is at this place of a tree of this size and root."""
    return 0 <= index < size and _climbed(list(path), found, index, size) == top


def _climbed(path: list[bytes], found: bytes, index: int, size: int) -> bytes | None:
    if size == 1:
        return None if path else sha256(b"\x00" + found).digest()
    if not path:
        return None
    split, sibling = _split(size), path[-1]
    below = _climbed(path[:-1], found, *((index, split) if index < split else (index - split, size - split)))
    if below is None:
        return None
    return _node(below, sibling) if index < split else _node(sibling, below)


def _split(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
