"""US Core profiles as data: a resource claims one only when what the profile makes mandatory is there.  https://hl7.org/fhir/us/core/STU6.1/"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.mapping import document
from fhir_server.mapping.document import plain, table, text
from fhir_server.mapping.problem import refuse

Alternatives = tuple[tuple[str, ...], ...]
"""Paths below the resource, any of which will do; the last step may say its value, `status=final`."""
EXTENSION = "extension("
"""How a step to the extension begins whose URL ends as the brackets say."""


class _Anything:
    """Stands in a template for what a row will say: whatever is looked for may be in it."""


ANYTHING = _Anything()


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    url: str
    resource_type: str
    mandatory: tuple[Alternatives, ...]
    supports: tuple[Alternatives, ...]
    """What must be supported where the source has it."""


def met(resource: Any, wanted: Alternatives) -> bool:
    """Whether one of the paths has a value."""
    return any(has(resource, path) for path in wanted)


def written(wanted: Alternatives) -> str:
    """The paths as a declaration of profiles has them."""
    return " or ".join(".".join(path) for path in wanted)


def has(value: Any, path: tuple[str, ...]) -> bool:
    """Whether there is a value at the path, in any entry of the lists on the way."""
    if not path or value is ANYTHING:
        return value is not None
    if isinstance(value, list):
        return any(has(each, path) for each in value)
    if not isinstance(value, dict):
        return False
    if path[0] in value:
        return has(value[path[0]], path[1:])
    if path[0].startswith(EXTENSION):
        end = f"/{path[0][len(EXTENSION) : -1]}"
        return any(str(each.get("url", "")).endswith(end) for each in value.get("extension", ()))
    name, _, wanted = path[0].partition("=")
    return bool(wanted) and value.get(name) in (wanted, ANYTHING)


def read(raw: str, file: str) -> Mapping[str, Profile]:
    """Profiles by their short name."""
    found = document.read(raw, file)
    return {name: _profile(name, table(each, file, name), file) for name, each in found.entries.items()}


def _profile(name: str, found: document.Table, file: str) -> Profile:
    for part in ("url", "type", "mandatory", "supports"):
        if part not in found.entries:
            raise refuse(file, found.line, f"The profile '{name}' says its {part}.")
    return Profile(
        name=name,
        url=text(found.entries["url"], file, "url"),
        resource_type=text(found.entries["type"], file, "type"),
        mandatory=_paths(found.entries["mandatory"]),
        supports=_paths(found.entries["supports"]),
    )


def _paths(found: document.Node) -> tuple[Alternatives, ...]:
    return tuple(tuple(tuple(path.split(".")) for path in each.split(" or ")) for each in plain(found))
