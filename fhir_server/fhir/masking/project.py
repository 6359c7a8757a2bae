"""A project: one secret, under which the same id always becomes the same other one, and nobody can tell it back."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

LEAST = 32
"""Bytes of a secret: an id may come out of a small set, and then the secret is all that hides it."""


@dataclass(frozen=True, slots=True)
class Project:
    """Keyed digests (HMAC-SHA-256), apart from each other by what they are for."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < LEAST:
            raise ValueError(f"The secret of a project has {LEAST} bytes at least, not {len(self.secret)}.")

    def digest(self, purpose: str, *parts: str) -> str:
        """64 hexadecimal digits."""
        said = "\0".join((purpose, *parts)).encode()
        return hmac.digest(self.secret, said, "sha256").hex()

    def resource_id(self, resource_type: str, resource_id: str) -> str:
        return self.digest("id", resource_type, resource_id)[:32]

    def name(self, text: str) -> str:
        """An id inside a resource; a letter first, since some must have one."""
        return f"x{self.digest('name', text)[:20]}"

    def token(self, text: str) -> str:
        return self.digest("token", text)[:16]

    def uuid(self, text: str) -> str:
        found = self.digest("uuid", text)
        return f"urn:uuid:{found[:8]}-{found[8:12]}-8{found[13:16]}-8{found[17:20]}-{found[20:32]}"

    def oid(self, text: str) -> str:
        """Under the arc of UUIDs. https://www.itu.int/rec/T-REC-X.667"""
        return f"urn:oid:2.25.{int(self.digest('oid', text)[:30], 16)}"

    def one_of(self, words: Sequence[str], purpose: str, *parts: str) -> str:
        return words[int(self.digest(purpose, *parts)[:12], 16) % len(words)]

    @property
    def fingerprint(self) -> str:
        """Tells two projects apart, and nothing of the secret."""
        return self.digest("fingerprint")[:16]
