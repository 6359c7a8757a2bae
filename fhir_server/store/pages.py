"""Documents as the versions that are shown of them, and pages of those.  https://hl7.org/fhir/R4/http.html#paging"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.fhir.outcome import gone
from fhir_server.fhir.version import Version
from fhir_server.search.page import Position
from fhir_server.store.bodies import Bodies
from fhir_server.store.errors import mongo_errors
from fhir_server.store.layout import Document
from fhir_server.store.recording import Trail
from fhir_server.store.versions import version_of


@dataclass(frozen=True, slots=True)
class Page:
    """Versions in order: matches, or a history with the newest first; `next` is where to go on, None at the end."""

    versions: tuple[Version, ...]
    next: Position | None


@dataclass(frozen=True, slots=True)
class Included:
    """What accompanies a page of matches; `complete` where there is no more of it."""

    versions: tuple[Version, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """The documents of one tenant as versions, wherever their bodies are."""

    bodies: Bodies
    tenant: str
    trail: Trail | None = None

    async def living(self, document: Document) -> Version:
        if document["m"] == "DELETE":
            raise gone(document["rt"], document["id"])
        version = await self._version(document)
        self.note([document])
        return version

    async def versions(self, documents: Sequence[Document]) -> tuple[Version, ...]:
        """A page at once, without what was destroyed."""
        with mongo_errors:
            bodies = await self.bodies.bodies(documents)
        found = [(each, body) for each, body in zip(documents, bodies, strict=True) if body is not None]
        self.note(each for each, _ in found)
        return tuple([version_of(self.tenant, each, body) for each, body in found])

    def note(self, documents: Iterable[Document]) -> None:
        """Everything that is shown comes by here."""
        if self.trail is not None:
            for each in documents:
                self.trail.show(each)

    async def _version(self, document: Document) -> Version:
        with mongo_errors:
            return version_of(self.tenant, document, await self.bodies.body(document))
