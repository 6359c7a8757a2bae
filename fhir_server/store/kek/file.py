"""A key in a file that nobody else can read: for development, tests, and machines that are their own key store."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from fhir_server.crypto import envelope
from fhir_server.crypto.aead import SealBroken
from fhir_server.crypto.envelope import Place
from fhir_server.crypto.secret import KEY_BYTES, Key
from fhir_server.store.errors import StoreError
from fhir_server.store.kek.port import KekError

NAME = "kek"
"""Of the file in the data directory."""


class FileKek:
    """Wraps with the key of one file, which is read once."""

    def __init__(self, path: Path) -> None:
        self._key = _read(path)
        self.name = f"file:{self._key.mac(b'name of this key')[:6].hex()}"

    async def wrap(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        return envelope.seal(self._key, plaintext, _place(context))

    async def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        try:
            return envelope.unseal(self._key, wrapped, _place(context))
        except SealBroken as problem:
            raise KekError("A stored key was changed, or was wrapped by another key file than this one.") from problem


def created(path: Path) -> None:
    """A new key, unless there is one: linked into place when it is whole, so that nobody reads half of it."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _read(path: Path) -> Key:
    """What the operator has to put right is said without the key."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(KEY_BYTES + 1)
    except OSError as problem:
        raise StoreError(f"The key file {path} cannot be read: {problem.strerror}.") from problem
    if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError(f"The key file {path} is open to others (mode {stat.S_IMODE(mode):o}): chmod 600 it.")
    if len(raw) != KEY_BYTES:
        raise StoreError(
            f"The key file {path} must hold {KEY_BYTES} bytes: head -c {KEY_BYTES} /dev/urandom makes them."
        )
    return Key("file", raw)


def _place(context: Mapping[str, str]) -> Place:
    return Place(context["tenant"], "encryption-key", context["key"])
