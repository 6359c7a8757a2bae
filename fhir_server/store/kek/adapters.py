"""From `FHIR_KEK` to the adapter it names: a table by what stands before the first colon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from fhir_server.store.errors import StoreError
from fhir_server.store.kek import file
from fhir_server.store.kek.port import Kek

Opened = Callable[[str, Path | None], Kek]
"""From the rest of the setting; the directory is where the server keeps its own MongoDB, if it does."""


def _file(path: str, directory: Path | None) -> Kek:
    """Made where it is missing and the store beside it is the server's own, else never: a lost key is no new key."""
    if not path and directory is None:
        raise StoreError("FHIR_KEK=file: names no file; only a store of the server's own has a place for one.")
    found = Path(path).expanduser() if path or directory is None else directory / file.NAME
    if directory is not None and found.resolve().is_relative_to(directory.resolve()):
        file.created(found)
    return file.FileKek(found)


def _service(module: str, name: str, extra: str) -> Opened:
    """A key service, whose library is loaded for who uses it only."""

    def opened(rest: str, _: Path | None) -> Kek:
        try:
            found: Callable[[str], Kek] = getattr(import_module(f"fhir_server.store.kek.{module}"), name)
        except ModuleNotFoundError as problem:
            raise StoreError(
                f"FHIR_KEK={extra}:… needs a library that is not installed: pip install 'fhir-server[{extra}]'."
            ) from problem
        return found(rest)

    return opened


ADAPTERS: Mapping[str, Opened] = {
    "file": _file,
    "vault": _service("transit", "VaultKek", "vault"),
    "aws": _service("aws", "AwsKek", "aws"),
    "azure": _service("azure", "AzureKek", "azure"),
}


def kek_of(named: str | None, directory: Path | None) -> Kek | None:
    """None where no key is named: then nothing is encrypted."""
    if not named:
        return None
    scheme, _, rest = named.partition(":")
    if scheme not in ADAPTERS:
        known = ", ".join(f"{each}:…" for each in ADAPTERS)
        raise StoreError(f"FHIR_KEK names no key that can be used; it starts with one of {known}.")
    return ADAPTERS[scheme](rest, directory)
