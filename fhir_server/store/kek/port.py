"""What wraps keys: the one seam to a key management service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


class KekError(Exception):
    """The key cannot be used now; the sentence holds neither keys nor credentials."""


class Kek(Protocol):
    """`context` is authenticated and not contained: what was wrapped for one tenant and key is no other's."""

    @property
    def name(self) -> str:
        """Which key this is, as it is written beside what it has wrapped."""
        ...

    async def wrap(self, plaintext: bytes, context: Mapping[str, str]) -> bytes: ...

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes: ...


@runtime_checkable
class Rewrapping(Protocol):
    """A key with versions: what an older one has wrapped is wrapped by the newest, and nobody sees it."""

    async def rewrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes: ...
