"""The file of a backup: a header that anybody may read, then compressed frames in sealed chunks.

    magic | length of header | header (JSON) | { length of chunk | chunk } …

Every chunk is bound to the header; the last one says that it is, and nothing comes after it.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from fhir_server.crypto.aead import SealBroken
from fhir_server.crypto.stream import Stream
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.port import Kek, KekError

MAGIC = b"fhir-server backup 1\n"
SUFFIX = ".fhirbackup"
CHUNK = 2**20
LEVEL = 1
"""Of compression: more is hardly smaller, and much slower."""
LONGEST_HEADER = 2**20
LONGEST_FRAME = 2**26
"""A batch of MongoDB has 16 MB, and one document more."""

_LENGTH = struct.Struct(">I")
_FRAME = struct.Struct(">BI")

Kind = Literal["full", "increment", "keys"]


class Broken(StoreError):
    """The file is not what was written; the sentence says where."""


class Header(msgspec.Struct, frozen=True):
    """`by` is the name of the key that wraps the key of this file."""

    id: str
    store: str
    """The id of the store that it is of."""
    kind: Kind
    tenant: str
    """Nothing where it is of the whole store."""
    created: datetime
    moment: tuple[int, int]
    """The time of the cluster: everything is as it was then. https://www.mongodb.com/docs/manual/reference/bson-types/#timestamps"""
    places: tuple[str, ...]
    """Databases: `common`, and those of tenants that have one of their own."""
    layout: int
    """The number of the last migration."""
    by: str
    wrapped: str
    based_on: str = ""
    """The id of the backup that an increment goes on from."""
    tokens: Mapping[str, str] = {}
    """By place: from where an increment reads on. The database knows whether it has all that came after."""

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)

    @property
    def family(self) -> str:
        """What the names of all files of the same store and tenant begin with."""
        return f"{self.tenant or '_all'}-{self.store[:8]}"

    @property
    def file_name(self) -> str:
        """Keys have one file, which is replaced: a destroyed key is then in no backup."""
        when = "" if self.kind == "keys" else f"-{self.created:%Y%m%dT%H%M%SZ}-{self.id[:4]}"
        return f"{self.family}{when}.{self.kind}{SUFFIX}"


class Frame(IntEnum):
    SECTION = 1
    """Place and collection of the documents that follow."""
    DOCUMENTS = 2
    """BSON, one after the other."""
    GONE = 3
    """Documents that hold but the `_id` of one that is there no more."""
    MANIFEST = 4


class Writer:
    """Frames in, sealed chunks out."""

    def __init__(self, file: BinaryIO, key: bytes, header: Header) -> None:
        raw = header.encoded()
        self._file = file
        self._stream = Stream(key, sha256(raw).digest())
        self._compressed = bytearray()
        self._compressor = zlib.compressobj(LEVEL)
        file.write(MAGIC + _LENGTH.pack(len(raw)) + raw)

    def add(self, frame: Frame, payload: bytes) -> None:
        self._compressed += self._compressor.compress(_FRAME.pack(frame, len(payload)))
        self._compressed += self._compressor.compress(payload)
        while len(self._compressed) > CHUNK:
            self._put(bytes(self._compressed[:CHUNK]), last=False)
            del self._compressed[:CHUNK]

    def close(self) -> None:
        """Without this there is no last chunk, and the file is refused."""
        self._compressed += self._compressor.flush()
        while len(self._compressed) > CHUNK:
            self._put(bytes(self._compressed[:CHUNK]), last=False)
            del self._compressed[:CHUNK]
        self._put(bytes(self._compressed), last=True)

    def _put(self, chunk: bytes, *, last: bool) -> None:
        sealed = self._stream.seal(chunk, last=last)
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)


def read_header(path: Path) -> Header:
    """What the file says of itself; only who has the key can know whether that is true."""
    with _opened(path) as file:
        return msgspec.json.decode(_header(file, path), type=Header)


async def key_of(header: Header, kek: Kek, path: Path) -> bytes:
    try:
        return await kek.unwrap(b64decode(header.wrapped, validate=True), context(header.id, header.tenant))
    except (KekError, ValueError) as problem:
        raise Broken(
            f"{path.name} was made with the key {header.by}, which {kek.name} is not; or its header was changed."
        ) from problem


async def wrapped(key: bytes, kek: Kek, backup: str, tenant: str) -> str:
    return b64encode(await kek.wrap(key, context(backup, tenant))).decode("ascii")


def context(backup: str, tenant: str) -> Mapping[str, str]:
    """What the key of a file is bound to; `*` is no name of a tenant."""
    return {"tenant": tenant or "*", "key": f"backup/{backup}"}


def frames(path: Path, key: bytes) -> Iterator[tuple[Frame, bytes]]:
    """All of them, each authenticated before it is given out; `Broken` where the file is not whole."""
    buffer = bytearray()
    for piece in _decompressed(path, key):
        buffer += piece
        while len(buffer) >= _FRAME.size:
            kind, length = _FRAME.unpack_from(buffer)
            if length > LONGEST_FRAME:
                raise Broken(f"{path.name} holds a frame of {length:,} bytes.")
            end = _FRAME.size + length
            if len(buffer) < end:
                break
            yield Frame(kind), bytes(buffer[_FRAME.size : end])
            del buffer[:end]
    if buffer:
        raise Broken(f"{path.name} ends within a frame.")


def _decompressed(path: Path, key: bytes) -> Iterator[bytes]:
    """In pieces of bounded size, however well they were compressed."""
    inflater = zlib.decompressobj()
    for chunk in _chunks(path, key):
        while chunk:
            yield inflater.decompress(chunk, 4 * CHUNK)
            chunk = inflater.unconsumed_tail
    yield inflater.flush()
    if not inflater.eof or inflater.unused_data:
        raise Broken(f"{path.name} is not compressed as it should be.")


def _chunks(path: Path, key: bytes) -> Iterator[bytes]:
    with _opened(path) as file:
        stream = Stream(key, sha256(_header(file, path)).digest())
        sealed = _chunk(file, path)
        while sealed is not None:
            following = _chunk(file, path)
            try:
                yield stream.open(sealed, last=following is None)
            except SealBroken as problem:
                raise Broken(_TAMPERED.format(path.name, stream.number)) from problem
            sealed = following
        if not stream.number:
            raise Broken(f"{path.name} ends after its header.")


_TAMPERED = "{}: chunk {} does not open. It or the header was changed, a chunk is missing, or was moved."


def _chunk(file: BinaryIO, path: Path) -> bytes | None:
    size = file.read(_LENGTH.size)
    if not size:
        return None
    length = _LENGTH.unpack(size)[0] if len(size) == _LENGTH.size else 0
    sealed = file.read(min(length, 2 * CHUNK))
    if not length or len(sealed) < length:
        raise Broken(f"{path.name} ends within a chunk.")
    return sealed


def _header(file: BinaryIO, path: Path) -> bytes:
    start = file.read(len(MAGIC) + _LENGTH.size)
    if not start.startswith(MAGIC) or len(start) < len(MAGIC) + _LENGTH.size:
        raise Broken(f"{path.name} is no backup of this server.")
    length = _LENGTH.unpack_from(start, len(MAGIC))[0]
    raw = file.read(min(length, LONGEST_HEADER))
    try:
        msgspec.json.decode(raw, type=Header)
    except msgspec.DecodeError as problem:
        raise Broken(f"The header of {path.name} cannot be read.") from problem
    return raw


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as problem:
        raise StoreError(f"{path} cannot be read: {problem.strerror}.") from problem
