"""What an interaction is given besides the entry: the caller's repository, where it is published, and its limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec.structs import replace

from fhir_server.access.right import Right
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.store.repository import Repository

Run = Callable[..., Awaitable[EntryResponse]]

APPEND_ONLY: Final = frozenset({"AuditEvent"})
"""Types whose instances are a record: they are created and read, never changed. https://hl7.org/fhir/R4/auditevent.html"""

_CHANGES: Final = frozenset({"update", "patch", "delete"})


@dataclass(frozen=True, slots=True)
class Interaction:
    """One row of the table; `code` is that of the CapabilityStatement and of AuditEvent.subtype."""

    code: str
    method: str
    path: str
    right: Right | None
    """What the caller needs on the resource type of the path; none where the entries of a Bundle decide."""
    run: Run
    media_type: str | None = None
    """Of an answer that is no resource, and has no other format."""

    @property
    def on_system(self) -> bool:
        """Whether it is an interaction with the whole system, and listed as one in the CapabilityStatement."""
        return "{resource_type}" not in self.path and self.code != "capabilities"

    def applies_to(self, resource_type: str | None) -> bool:
        return resource_type not in APPEND_ONLY or self.code not in _CHANGES


@dataclass(frozen=True, slots=True)
class Limits:
    """Where an answer becomes `too-costly`."""

    entries: int = 5_000
    issues: int = 100
    default_count: int = 50
    max_count: int = 1_000
    included: int = 1_000


class Context(msgspec.Struct, frozen=True):
    """`base` is the absolute FHIR base of the tenant, without a slash at the end; `cursor_key` seals page links."""

    repo: Repository
    base: str
    cursor_key: bytes
    interactions: tuple[Interaction, ...]
    resolve: Callable[[EntryRequest], tuple[Interaction, dict[str, str]]]
    perform: Callable[[Context, EntryRequest], Awaitable[EntryResponse]]
    limits: Limits = msgspec.field(default_factory=Limits)

    def setting(self, name: str) -> str:
        """How the tenant wants it."""
        return self.repo.tenant.setting(name)

    @property
    def words(self) -> bool:
        """Whether the words of resources can be searched for."""
        return self.setting("words") == "on"

    def inside(self, transaction: Repository) -> Context:
        """The same request, its reads and writes in a transaction."""
        return replace(self, repo=transaction)
