"""References: what they may point to, and what is contained.  https://hl7.org/fhir/R4/references.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.json import encode
from fhir_server.fhir.resource import Resource

ID = r"[A-Za-z0-9\-.]{1,64}"
LITERAL = re.compile(rf"(?P<base>https?://\S+/)?(?P<type>[A-Za-z]+)/{ID}(?:/_history/{ID})?\Z")
CONDITIONAL = re.compile(r"(?P<type>[A-Za-z]+)\?\S+\Z")
FRAGMENT = re.compile(rb'"#([A-Za-z0-9\-.]{0,64})"')
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+\Z")

UNRESOLVED = "is to nothing that the resource contains (ref-1)"
MALFORMED = "is not a reference; it must be like Patient/123, an absolute URL, urn:uuid:… or #id"


def pattern(targets: tuple[str, ...]) -> str:
    """A regular expression for the references to these types that need no second look."""
    types = "|".join(targets or sorted(resource_types()))
    local = rf"(?:{types})/{ID}(?:/_history/{ID})?\Z"
    return rf"^(?:{local}|urn:(?:uuid|oid):\S+\Z|#|(?:{types})\?\S+\Z|https?://\S+/{local})"


def problem(reference: Resource, targets: tuple[str, ...], root: Resource) -> str | None:
    """Why the reference may not stand here, as the end of a sentence that begins with its value; None where it may."""
    text = reference.get("reference")
    stated = reference.get("type")
    found = type_of(text, root) if isinstance(text, str) else None
    if found is None and isinstance(text, str) and not ABSOLUTE.match(text):
        return UNRESOLVED if text.startswith("#") else MALFORMED
    for each in (found, stated):
        if each in resource_types() and targets and each not in targets:
            return f"is to a resource of type {each}, but only {_listed(targets)} may stand here"
    if found and found not in resource_types():
        return f"is to '{found}', which is not a resource type of R4"
    if found and stated in resource_types() and stated != found:
        return f"is to a resource of type {found}, but type says {stated}"
    return None


def written_in(value: Any) -> Iterator[str]:
    """The references in a value to what is not contained, in order; what has only an identifier has none."""
    if isinstance(value, list):
        for each in value:
            yield from written_in(each)
    elif isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str) and not text.startswith("#"):
            yield text
        for each in value.values():
            yield from written_in(each)


def type_of(text: str, root: Resource) -> str | None:
    """The type that a reference names or, for what is contained, has; None where it does not tell."""
    if text.startswith("#"):
        held = root if text == "#" else contained(root, text[1:])
        kind = held.get("resourceType") if held else None
        return kind if isinstance(kind, str) else None
    match = LITERAL.match(text) or CONDITIONAL.match(text)
    if match is None:
        return None
    name = match.group("type")
    is_foreign = text.startswith("http") and name not in resource_types()
    return None if is_foreign else name


def _listed(targets: tuple[str, ...]) -> str:
    return targets[0] if len(targets) == 1 else f"{', '.join(targets[:-1])} or {targets[-1]}"


def contained(root: Resource, resource_id: str) -> Resource | None:
    """What the resource contains under this id; the walk asks also where the resource is broken."""
    inside = root.get("contained")
    for each in inside if isinstance(inside, list) else ():
        if isinstance(each, dict) and each.get("id") == resource_id:
            return each
    return None


def are_used(resource: Any, _: Any) -> bool:
    """dom-3: each contained resource is referred to, from the container or what it uses, or refers to the container."""
    return not unused(resource)


def unused(resource: Any) -> list[Any]:
    """The ids of the contained resources that nothing refers to."""
    waiting = {each.get("id"): each for each in resource.get("contained", ())}
    mentioned = _fragments({name: value for name, value in resource.items() if name != "contained"})
    reached = [name for name, each in waiting.items() if name in mentioned or "" in _fragments(each)]
    while reached:
        each = waiting.pop(reached.pop(), None)
        reached += _fragments(each) & waiting.keys() if each else ()
    return list(waiting)


def _fragments(resource: Resource) -> set[str]:
    """What stands after the '#' in strings that begin with one: references, canonicals, URIs and URLs."""
    return set(map(bytes.decode, FRAGMENT.findall(encode(resource))))
