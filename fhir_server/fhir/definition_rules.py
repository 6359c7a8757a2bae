"""Constraints of structures, their elements and implementation guides, named by their keys as those in `rules`.

https://hl7.org/fhir/R4/structuredefinition.html and https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import chain
from typing import Any

from fhir_server.fhir.predicates import Predicate, any_of, distinct, has

SLICE_NAME = re.compile(r"[a-zA-Z0-9/\-_\[\]@]+\Z")
_NAME = r"""[^\s.,:;'"/|?!@#$%&*()\[\]{}]{1,64}"""
ELEMENT_PATH = re.compile(rf"{_NAME}(\.{_NAME}(\[x\])?(:[^\s.]+)?)*\Z")
SIMPLE_PATH = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[a-z][A-Za-z0-9]*(\[x])?)*\Z")
FHIR_STRUCTURES = "http://hl7.org/fhir/StructureDefinition"
SYSTEM_TYPE = re.compile(r"http://hl7\.org/fhirpath/System\.[A-Z][A-Za-z]+\Z")
TYPE_IN_DIFFERENTIAL = re.compile(r"[a-zA-Z0-9]+\Z")
TYPE_IN_SNAPSHOT = re.compile(r"[a-zA-Z0-9.]+\Z")

PARTS = ("snapshot", "differential")


def elements(definition: Any, *parts: str) -> list[Any]:
    """Those of the snapshot, of the differential, or of both."""
    return list(chain.from_iterable(definition.get(each, {}).get("element", ()) for each in parts))


def path_of(element: Any) -> str:
    """Nothing where the path has only extensions."""
    return str(element.get("path", ""))


def is_root(element: Any) -> bool:
    return "." not in path_of(element)


def every_element(*names: str) -> Predicate:
    """Each element of a snapshot or a differential has all of these."""
    return lambda part, _: all(has(each, name) for each in part.get("element", ()) for name in names)


def ids_are_there(*parts: str) -> Predicate:
    return lambda definition, _: all("id" in each for each in elements(definition, *parts))


def ids_are_unique(part: str) -> Predicate:
    """Each element has an id of its own."""

    def holds(definition: Any, _: Any) -> bool:
        ids = [each.get("id") for each in elements(definition, part)]
        return None not in ids and distinct(ids)

    return holds


def roots_have_no(*names: str) -> Callable[[Iterable[Any]], bool]:
    return lambda found: not any(has(each, name) for each in found if is_root(each) for name in names)


def sdf_1(definition: Any, _: Any) -> bool:
    is_profile = definition.get("derivation") == "constraint"
    return is_profile or distinct(path_of(each) for each in elements(definition, "snapshot") if "path" in each)


def sdf_4(definition: Any, _: Any) -> bool:
    return definition.get("abstract") is True or has(definition, "baseDefinition")


def sdf_5(definition: Any, _: Any) -> bool:
    is_other = definition.get("type") != "Extension" or definition.get("derivation") == "specialization"
    return is_other or has(definition, "context")


def sdf_8(snapshot: Any, root: Any) -> bool:
    """The first element is the type itself; the paths of the others begin with it."""
    definition = _around(snapshot, "snapshot", root)
    first, *others = map(path_of, snapshot["element"])
    is_named = definition.get("kind") == "logical" or first == definition.get("type")
    return is_named and all(each.startswith(f"{first}.") for each in others)


def sdf_8a(differential: Any, root: Any) -> bool:
    """As sdf-8, but the first element may be further in."""
    definition = _around(differential, "differential", root)
    first, *others = map(path_of, differential["element"])
    is_named = definition.get("kind") == "logical" or first.startswith(str(definition.get("type")))
    start = first.partition(".")[0]
    return is_named and all(each.startswith(f"{start}.") for each in others)


def _around(part: Any, name: str, root: Any) -> Any:
    """The definition that a snapshot or differential stands in, which `root` is or contains."""
    candidates = (root, *root.get("contained", ()))
    return next((each for each in candidates if each.get(name) is part), root)


def sdf_9(definition: Any, _: Any) -> bool:
    return roots_have_no("label", "code", "requirements")(elements(definition, *PARTS))


def sdf_10(element: Any, root: Any) -> bool:
    return not has(element, "binding") or any_of("valueSet", "description")(element["binding"], root)


def sdf_11(definition: Any, _: Any) -> bool:
    first = elements(definition, "snapshot")[:1]
    return definition.get("kind") == "logical" or all(path_of(each) == definition.get("type") for each in first)


def sdf_15(definition: Any, _: Any) -> bool:
    return definition.get("kind") == "logical" or not any("type" in e for e in elements(definition, "snapshot")[:1])


def sdf_15a(definition: Any, _: Any) -> bool:
    first = elements(definition, "differential")[:1]
    return definition.get("kind") == "logical" or roots_have_no("type")(first)


def sdf_19(definition: Any, _: Any) -> bool:
    if not str(definition.get("url", "")).startswith(FHIR_STRUCTURES):
        return True
    allowed = {"differential": TYPE_IN_DIFFERENTIAL, "snapshot": TYPE_IN_SNAPSHOT}
    return all(
        pattern.match(kind["code"]) or SYSTEM_TYPE.match(kind["code"])
        for part, pattern in allowed.items()
        for each in elements(definition, part)
        for kind in each.get("type", ())
        if "code" in kind
    )


def sdf_20(differential: Any, _: Any) -> bool:
    return roots_have_no("slicing")(differential.get("element", ()))


def sdf_21(definition: Any, _: Any) -> bool:
    has_defaults = any(has(each, "defaultValue[x]") for each in elements(definition, "differential"))
    return not has_defaults or definition.get("derivation") == "specialization"


def sdf_22(definition: Any, _: Any) -> bool:
    is_of_fhir = str(definition.get("url", "")).startswith(FHIR_STRUCTURES)
    return not is_of_fhir or not any(has(each, "defaultValue[x]") for each in elements(definition, *PARTS))


def sdf_23(definition: Any, _: Any) -> bool:
    return roots_have_no("sliceName")(elements(definition, *PARTS))


def eld_2(element: Any, _: Any) -> bool:
    low, high = element.get("min"), element.get("max", "*")
    return low is None or not high.isdecimal() or bool(low <= Decimal(high))


def eld_3(maximum: Any, _: Any) -> bool:
    return bool(maximum == "*" or maximum.isdecimal())


def eld_5(element: Any, root: Any) -> bool:
    excluded = ("type", "defaultValue[x]", "fixed[x]", "pattern[x]", "example", "minValue[x]", "maxValue[x]")
    return not has(element, "contentReference") or not any_of(*excluded, "maxLength", "binding")(element, root)


def single_type(element: Any) -> bool:
    return len(element.get("type", ())) <= 1


def eld_12(binding: Any, _: Any) -> bool:
    return bool(binding.get("valueSet", "urn:").startswith(("http:", "https", "urn:", "#")))


def eld_19(element: Any, _: Any) -> bool:
    return "path" not in element or ELEMENT_PATH.match(element["path"]) is not None


def eld_20(element: Any, _: Any) -> bool:
    return "path" not in element or SIMPLE_PATH.match(element["path"]) is not None


def ig_1(definition: Any, _: Any) -> bool:
    groups = {each.get("id") for each in definition.get("grouping", ())}
    return all(each.get("groupingId") in groups | {None} for each in definition.get("resource", ()))


def ig_2(guide: Any, _: Any) -> bool:
    versions = {each for each in guide.get("fhirVersion", ()) if each}
    resources = guide.get("definition", {}).get("resource", ())
    return all(versions.issuperset(filter(None, each.get("fhirVersion", ()))) for each in resources)
