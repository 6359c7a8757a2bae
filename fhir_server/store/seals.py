"""What is stored sealed: one face for tenants that are encrypted and those that are not."""

# ruff: noqa: ARG002 - where nothing is sealed, it does not matter what it belongs to

from __future__ import annotations

from hashlib import sha256
from typing import Protocol


class Seals(Protocol):
    """Of one tenant. `kind` and `name` say what a value belongs to; under others it does not open."""

    async def sealed(self, kind: str, name: str, plaintext: bytes) -> bytes: ...

    async def opened(self, kind: str, name: str, kept: bytes) -> bytes: ...

    async def digest(self, text: str) -> str:
        """The same for the same text, and nothing about it to who has no key."""
        ...


class Unsealed:
    """Of a tenant that is not encrypted."""

    async def sealed(self, kind: str, name: str, plaintext: bytes) -> bytes:
        return plaintext

    async def opened(self, kind: str, name: str, kept: bytes) -> bytes:
        return kept

    async def digest(self, text: str) -> str:
        return sha256(text.encode()).hexdigest()


UNENCRYPTED = Unsealed()
