"""Concepts of large code systems, loaded from files: each its own document, so that a question fetches only its own.

A load is written beside what is there and takes its place at once, when it is whole.
https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pymongo import ReplaceOne

from fhir_server.fhir.outcome import too_costly
from fhir_server.fhir.terminology.code_system import Concept
from fhir_server.fhir.terminology.need import Need
from fhir_server.store.database import Database
from fhir_server.store.errors import mongo_errors, mongo_writes
from fhir_server.store.layout import Document

MOST = 10_000
"""Concepts that one question may be about."""

SLOWEST = 10_000
"""Milliseconds that looking through a code system may take."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A code system whose concepts are here; `load` names those that are current."""

    load: str
    content: str
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """A concept to be kept: `number` is its place, `text` what a text filter finds it by.

    `key` is its code, without case where case does not matter.
    """

    number: int
    key: str
    concept: Concept
    text: tuple[str, ...]


def name_of_load(url: str, version: str | None, content: bytes) -> str:
    """The same file of the same system has the same name: loading it again goes on where it ended."""
    return f"{name_of_system(url, version)}-{sha256(content).hexdigest()[:24]}"


def name_of_system(url: str, version: str | None) -> str:
    """Short, and the same each time."""
    return sha256(f"{url}|{version or ''}".encode()).hexdigest()[:24]


class Concepts:
    """The loaded code systems of one tenant."""

    def __init__(self, database: Database, tenant: str):
        self._concepts = database.concepts
        self._systems = database.code_systems
        self._tenant = tenant

    async def loaded(self, url: str, version: str | None) -> Loaded | None:
        """What is current of a code system in this very version; none where nothing was loaded as a whole."""
        with mongo_errors:
            found = await self._systems.find_one({"_id": self._head(url, version)})
        return Loaded(found["load"], found["content"], found["count"]) if found else None

    async def kept(self, load: str) -> int:
        """How many concepts of a load are there already."""
        with mongo_errors:
            return await self._concepts.count_documents({"t": self._tenant, "load": load})

    async def keep(self, load: str, rows: Sequence[Row]) -> None:
        """Once or again: it makes no difference."""
        operations = [
            ReplaceOne({"_id": f"{self._tenant}|{load}|{row.concept.code}"}, self._document(load, row), upsert=True)
            for row in rows
        ]
        if operations:
            with mongo_writes:
                await self._concepts.bulk_write(operations, ordered=False)

    async def take_over(self, url: str, version: str | None, loaded: Loaded) -> None:
        """From now on these concepts are the code system's; those before them are removed."""
        head = self._head(url, version)
        document = {"_id": head, "t": self._tenant, "load": loaded.load}
        with mongo_writes:
            await self._systems.replace_one(
                {"_id": head}, {**document, "content": loaded.content, "count": loaded.count}, upsert=True
            )
            await self._concepts.delete_many(self._others(url, version, loaded.load))

    async def those(
        self, url: str, version: str | None, need: Need, text: str | None = None
    ) -> tuple[Loaded, dict[str, Concept]] | None:
        """The concepts that are needed, in order; with a text, of whole branches only those that have it."""
        loaded = await self.loaded(url, version)
        while loaded is not None:
            found = await self._those(loaded.load, need, text)
            # What was read while another load took over may be incomplete.
            current = await self.loaded(url, version)
            if current == loaded:
                return loaded, found
            loaded = current
        return None

    async def _those(self, load: str, need: Need, text: str | None) -> dict[str, Concept]:
        wanted = await self._wanted(load, need, text)
        if not wanted:
            return {}
        found = {"t": self._tenant, "load": load, "$or": wanted}
        cursor = self._concepts.find(found, {"_id": 0}, limit=MOST + 1, max_time_ms=SLOWEST)
        with mongo_errors:
            documents = await cursor.to_list()
        if len(documents) > MOST:
            raise too_costly(f"More than {MOST:,} concepts of a code system are asked for; please narrow the question.")
        return {each["code"]: _concept(each) for each in sorted(documents, key=lambda each: each["n"])}

    async def _wanted(self, load: str, need: Need, text: str | None) -> list[Document]:
        having = {"text": {"$regex": re.escape(text)}} if text else {}
        exact = {*need.codes, *need.below, *need.above, *need.children}
        if need.above:
            exact |= await self._above(load, need.above)
        wanted: list[Document] = [{"key": {"$in": sorted({*exact, *map(str.casefold, exact)})}}] if exact else []
        if need.below:
            wanted.append({"anc": {"$in": sorted(need.below)}, **having})
        if need.children:
            wanted.append({"par": {"$in": sorted(need.children)}})
        return [*wanted, having] if need.all else wanted

    async def _above(self, load: str, codes: Iterable[str]) -> set[str]:
        found = {"t": self._tenant, "load": load, "key": {"$in": sorted(codes)}}
        with mongo_errors:
            documents = await self._concepts.find(found, {"_id": 0, "anc": 1}).to_list()
        return {code for each in documents for code in each["anc"]}

    def _document(self, load: str, row: Row) -> Document:
        concept = row.concept
        optional = {"display": concept.display, "definition": concept.definition}
        many = {"designations": concept.designations, "properties": concept.properties}
        return {
            "t": self._tenant,
            "load": load,
            "code": concept.code,
            "key": row.key,
            "n": row.number,
            "text": list(row.text),
            "par": list(concept.parents),
            "anc": sorted(concept.ancestors or ()),
            **{name: value for name, value in optional.items() if value is not None},
            **{name: list(value) for name, value in many.items() if value},
        }

    def _head(self, url: str, version: str | None) -> str:
        return f"{self._tenant}|{name_of_system(url, version)}"

    def _others(self, url: str, version: str | None, load: str) -> Mapping[str, Any]:
        system = f"{self._tenant}|{name_of_system(url, version)}"
        return {"_id": {"$gte": f"{system}-", "$lt": f"{system}."}, "load": {"$ne": load}}


def _concept(document: Document) -> Concept:
    return Concept(
        document["code"],
        document.get("display"),
        document.get("definition"),
        tuple(document["par"]),
        tuple(document.get("designations", ())),
        tuple(document.get("properties", ())),
        frozenset(document["anc"]),
    )
