"""An npm package of FHIR definitions, read from its file without unpacking anything.  https://confluence.hl7.org/display/FHIR/NPM+Package+Specification

A package is a stranger's file: what is not as it should be is refused with the name of the file in it.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, Final

from fhir_server.fhir import json
from fhir_server.fhir.outcome import FhirError, invalid
from fhir_server.fhir.resource import Resource
from fhir_server.store.packages import Package

DEFINITIONS: Final = frozenset(
    {"StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "SearchParameter", "OperationDefinition"}
)
MAX_FILES: Final = 100_000
MAX_BYTES: Final = 4 * 2**30
"""Of everything in the package, inflated."""
MAX_DEFINITION: Final = 12 * 2**20
"""A document of the database holds 16 megabytes."""
RELEASES: Final = ("4.0",)
"""What `fhirVersions` may begin with."""
BUILT_IN: Final = frozenset(
    {
        "hl7.fhir.r4.core",
        "hl7.fhir.r4.examples",
        "hl7.fhir.r4.expansions",
        "hl7.fhir.uv.extensions",
        "hl7.fhir.uv.extensions.r4",
    }
)
"""Packages whose place the server's own definitions take."""

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Archive:
    """A package with its definitions in the order of the file."""

    package: Package
    definitions: tuple[Resource, ...]


def read(path: Path, advance: Advance = lambda _: None) -> Archive:
    """`advance` is told how many bytes of the file were read since the last time."""
    manifest: Resource | None = None
    found: list[Resource] = []
    digest = sha256()
    for name, raw in _files(path, advance):
        if name == "package.json":
            manifest = _parsed(path, name, raw)
        elif (definition := _definition(path, name, raw)) is not None:
            digest.update(raw)
            found.append(definition)
    if manifest is None:
        raise invalid(f"{path.name} is no FHIR package: it has no package/package.json.")
    return Archive(_package(path, manifest, digest.hexdigest(), len(found)), tuple(found))


def _files(path: Path, advance: Advance) -> Iterator[tuple[str, bytes]]:
    """The JSON files directly in `package/`, the only ones that are looked at."""
    total = at = 0
    try:
        # Through gzip, because tarfile takes a stream that breaks off between two files for its end.
        with (
            path.open("rb") as raw,
            gzip.GzipFile(fileobj=raw) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            for number, member in enumerate(archive):
                total += member.size
                _check(path, member, number, total)
                name = PurePosixPath(member.name.removeprefix("./"))
                if member.isfile() and str(name.parent) == "package" and name.suffix == ".json":
                    yield name.name, _content(path, archive, member)
                advance(raw.tell() - at)
                at = raw.tell()
            while rest := stream.read(2**20):
                total += len(rest)
                _check_size(path, total)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as problem:
        raise invalid(f"{path.name} cannot be read as a .tgz file: {problem}.") from problem


def _check(path: Path, member: tarfile.TarInfo, number: int, total: int) -> None:
    parts = PurePosixPath(member.name).parts
    if member.name.startswith("/") or ".." in parts or "\\" in member.name:
        raise invalid(f"{path.name} names a file outside of itself: '{member.name[:100]}'.")
    if not (member.isfile() or member.isdir()):
        raise invalid(f"{path.name} holds '{member.name[:100]}', which is neither a file nor a folder.")
    if number >= MAX_FILES:
        raise invalid(f"{path.name} holds more than {MAX_FILES:,} files.")
    _check_size(path, total)


def _check_size(path: Path, total: int) -> None:
    if total > MAX_BYTES:
        raise invalid(f"{path.name} holds more than {MAX_BYTES // 2**30} GB.")


def _content(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_DEFINITION:
        size, most = member.size // 2**20, MAX_DEFINITION // 2**20
        raise invalid(f"{path.name}: {member.name} has {size} MB; a definition may have {most}.")
    stream = archive.extractfile(member)
    return stream.read() if stream is not None else b""


def _parsed(path: Path, name: str, raw: bytes) -> Resource:
    try:
        return json.parse(raw)
    except FhirError as problem:
        raise invalid(f"{path.name}: package/{name} cannot be read: {problem}") from problem


def _definition(path: Path, name: str, raw: bytes) -> Resource | None:
    """A definition that can be asked for by its URL; None for everything else."""
    if name.startswith("."):
        return None
    found = _parsed(path, name, raw)
    kind, url = found.get("resourceType"), found.get("url")
    if not isinstance(kind, str) or kind not in DEFINITIONS:
        return None
    if not isinstance(url, str) or not isinstance(found.get("version", ""), str):
        raise invalid(f"{path.name}: package/{name} is a {kind} without a url and a version that are texts.")
    return found


def _package(path: Path, manifest: Resource, digest: str, count: int) -> Package:
    name, version = manifest.get("name"), manifest.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or not name or not version:
        raise invalid(f"{path.name}: package/package.json says no name and version.")
    stated = manifest.get("fhirVersions", manifest.get("fhir-version-list", []))
    if stated and not any(str(each).startswith(RELEASES) for each in stated):
        raise invalid(f"{name} is for FHIR {', '.join(map(str, stated))}; this server speaks R4 (4.0.1).")
    return Package(name, version, digest, count, _dependencies(manifest))


def _dependencies(manifest: Resource) -> Mapping[str, str]:
    stated: Any = manifest.get("dependencies")
    return {str(name): str(version) for name, version in stated.items()} if isinstance(stated, dict) else {}
