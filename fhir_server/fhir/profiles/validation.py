"""A resource against the profiles that are asked for and those that it claims, with all that is in it.

https://hl7.org/fhir/R4/resource-definitions.html#Meta.profile
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fhir_server.fhir.outcome import Issue
from fhir_server.fhir.profiles.checking import Check
from fhir_server.fhir.profiles.items import NOTHING, Item, of_resource
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.resource import Resource

Part = tuple[Resource, Resource, str]
"""A resource, what contains it, and where it is."""


def check(
    library: Library, resource: Resource, asked: Iterable[str] = (), targets: Mapping[str, Resource | None] = NOTHING
) -> Check:
    """What is found where the structure of the resource is right; what the library lacks it lists as wanted.

    `asked` are profiles besides those claimed in `meta.profile`; `targets` are resources that references lead to.
    """
    found = Check(library, targets)
    for part, root, expression in _parts(resource):
        own = asked if part is resource else ()
        for canonical in dict.fromkeys((*own, *claimed(part))):
            found.profile(of_resource(part, expression), canonical, part, root)
        for extension, at in _extensions(part, expression):
            if id(extension) not in found.extensions and found.known(extension["url"]) is not None:
                found.profile(Item(extension, NOTHING, "Extension", "Extension", at), extension["url"], part, root)
    return found


def claimed(resource: Resource) -> list[str]:
    return [each for each in resource.get("meta", NOTHING).get("profile", ()) if isinstance(each, str)]


def must_support(check: Check, asked: Iterable[str]) -> list[Issue]:
    """For each profile that was asked for one note of its must-support elements that are not there.

    https://hl7.org/fhir/R4/conformance-rules.html#mustSupport
    """
    absent = {url: check.findings.absent.get(url.partition("|")[0], {}) for url in asked}
    return [
        Issue(
            "informational", f"Must-support elements of {url} that are not there: {', '.join(ids)}.", (), "information"
        )
        for url, ids in absent.items()
        if ids
    ]


def _parts(resource: Resource) -> Iterator[Part]:
    """The resource, what it contains, and the entries of a Bundle with what they contain."""
    name = resource["resourceType"]
    yield resource, resource, name
    for number, each in enumerate(resource.get("contained", ())):
        yield each, resource, f"{name}.contained[{number}]"
    for number, entry in enumerate(resource.get("entry", ()) if name == "Bundle" else ()):
        inner = entry.get("resource")
        if inner is not None:
            at = f"Bundle.entry[{number}].resource"
            yield inner, resource, at
            for place, each in enumerate(inner.get("contained", ())):
                yield each, inner, f"{at}.contained[{place}]"


def _extensions(value: Any, expression: str) -> Iterator[tuple[Resource, str]]:
    """Every extension of a resource that is not inside another resource."""
    for name, child in value.items() if isinstance(value, dict) else ():
        at = f"{expression}.{name.removeprefix('_')}"
        for number, each in enumerate(child) if isinstance(child, list) else ((None, child),):
            place = at if number is None else f"{at}[{number}]"
            if name in ("extension", "modifierExtension"):
                yield each, place
            if isinstance(each, dict) and "resourceType" not in each:
                yield from _extensions(each, place)
