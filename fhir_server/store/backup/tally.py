"""What was counted while documents went by: how many there are of each tenant in each collection, and their hash.

Documents are hashed as the bytes that MongoDB has, in the order of their keys. The tenant comes first in every key.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import msgspec
from bson.raw_bson import RawBSONDocument

from fhir_server.crypto.chain import root

_INT = struct.Struct("<i")
_KEY = b"\x02_id\x00"
"""A string called `_id`, which comes first in every document. https://bsonspec.org/spec.html"""
_KEY_AT = 4 + len(_KEY) + 4


class Row(msgspec.Struct, frozen=True):
    place: str
    collection: str
    tenant: str
    documents: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The last that is written: what a backup holds."""

    rows: tuple[Row, ...]
    root: str
    gone: int = 0
    """Documents that an increment removes."""
    keys: int = 0
    """Documents of keys at that moment, which are in a file of their own."""

    @property
    def documents(self) -> int:
        return sum(each.documents for each in self.rows)

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.rows)

    @property
    def tenants(self) -> list[str]:
        return sorted({each.tenant for each in self.rows if each.collection == "tenants"})


class Tally:
    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], list[Any]] = {}
        self.documents = 0
        self.bytes = 0

    def add(self, place: str, collection: str, documents: Iterable[bytes]) -> None:
        for document in documents:
            row = self._rows.setdefault((place, collection, tenant_of(document)), [0, 0, sha256()])
            row[0] += 1
            row[1] += len(document)
            row[2].update(document)
            self.documents += 1
            self.bytes += len(document)

    def manifest(self, *, gone: int = 0, keys: int = 0) -> Manifest:
        rows = tuple(
            Row(*key, documents, size, digest.hexdigest())
            for key, (documents, size, digest) in sorted(self._rows.items())
        )
        return Manifest(rows, root_of(rows), gone, keys)


def root_of(rows: Iterable[Row]) -> str:
    """One hash over all rows: the root of a Merkle tree, so that one row can be shown to be in it."""
    return root([msgspec.json.encode(each) for each in rows]).hex()


def differences(wanted: Manifest, found: Manifest) -> list[str]:
    """What is not the same, in words; of tenants only the name is told."""
    one, other = ({each[:3]: each for each in map(msgspec.structs.astuple, each.rows)} for each in (wanted, found))
    return [
        f"{collection} of {tenant or 'all tenants'} in {place}"
        for place, collection, tenant in sorted(one.keys() | other.keys())
        if one.get((place, collection, tenant)) != other.get((place, collection, tenant))
    ]


def split(block: bytes) -> Iterator[bytes]:
    """The documents of a batch; each begins with its length."""
    start = 0
    while start < len(block):
        end = start + _INT.unpack_from(block, start)[0]
        yield block[start:end]
        start = end


def tenant_of(document: bytes) -> str:
    """From the key, without reading the rest; a chunk of a large body has the key of its body as `files_id`."""
    if document.startswith(_KEY, 4):
        length = _INT.unpack_from(document, _KEY_AT - 4)[0]
        return document[_KEY_AT : _KEY_AT + length - 1].partition(b"|")[0].decode()
    return str(RawBSONDocument(document).get("files_id", "")).partition("|")[0]
