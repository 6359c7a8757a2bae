"""A resource beside the rules of a profile, element by element.  https://hl7.org/fhir/R4/validation.html

Only what the profile adds is looked at: that the resource keeps the rules of R4 is checked before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.fhir import references
from fhir_server.fhir.json import encode
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.profiles import bindings, constraints, limits, matching, slices
from fhir_server.fhir.profiles.discriminators import Means, Undetermined
from fhir_server.fhir.profiles.findings import Findings
from fhir_server.fhir.profiles.items import Item, children, items, of_resource
from fhir_server.fhir.profiles.library import Library
from fhir_server.fhir.profiles.place import Place
from fhir_server.fhir.profiles.rules import ABSENT, Node, Profile, TypeRule
from fhir_server.fhir.resource import Resource

DEEPEST: Final = 60
"""So many profiles may apply one inside the other."""
SHOWN: Final = 120
"""Characters of a value that a message shows."""
ANY: Final = ("Resource", "DomainResource", "Element", "BackboneElement")
"""Types that others are made of."""
STRENGTHS: Final = {"required": "error", "extensible": "warning"}
"""How severe it is to be outside a value set; the other bindings advise. https://hl7.org/fhir/R4/terminologies.html#strength"""


@dataclass(slots=True)
class Check:
    """One check; `targets` are resources elsewhere by their reference, `missed` references to others than these."""

    library: Library
    targets: Mapping[str, Resource | None] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)
    findings: Findings = field(default_factory=Findings)
    extensions: set[int] = field(default_factory=set)
    """Those that were compared with their StructureDefinition already, by identity."""
    depth: int = 0

    def profile(self, item: Item, canonical: str, resource: Resource, root: Resource) -> None:
        """A value against a profile; one that is not known here is named as such."""
        found = None if self.depth >= DEEPEST else self._profile(canonical)
        if found is None:
            return
        self.extensions.add(id(item.value))
        place = Place(found, resource, root, self.library, self.findings)
        if found.type not in (item.type, item.path, *ANY):
            text = f"'{item.expression}' is a {item.type}; the profile is about a {found.type}."
            place.fault(found.root, item.expression, "invalid", text)
            return
        self.depth += 1
        self.element(found.root, item, place)
        self.depth -= 1

    def _profile(self, canonical: str) -> Profile | None:
        try:
            found = self.library.profile(canonical)
        except FhirError as problem:
            self.findings.unjudged[str(problem)] = None
            return None
        if found is None:
            self.findings.unjudged[f"{canonical} is not known here: what should keep it was not compared with it."] = (
                None
            )
        return found

    def element(self, node: Node, item: Item, place: Place) -> None:
        """One value against all that its element says, and what is in it."""
        if node.types and not self._types(node, item, place):
            return
        if node.fixed is not ABSENT:
            _stated(matching.is_same(item.value, node.fixed), "must be", node.fixed, node, item, place)
        if node.pattern is not ABSENT:
            _stated(matching.has_all(item.value, node.pattern), "must have", node.pattern, node, item, place)
        if node.bound is not None:
            _bound(node.bound.strength, node.bound.value_set, node, item, place)
        limits.check(node, item, place)
        for each in node.constraints:
            constraints.check(each, node, item, place)
        known = children(item.path)
        for name, child in place.profile.below(node).items():
            if name in known:
                self._child(child, items(item, name), item, place)

    def _child(self, node: Node, found: list[Item], parent: Item, place: Place) -> None:
        place.count(node, len(found), parent, f"'{parent.expression}.{node.name}'")
        if node.must_support and not found:
            place.absent(node)
        for each in found:
            self.element(node, each, place)
        if node.slices:
            self._slices(node, found, parent, place)

    def _slices(self, node: Node, found: list[Item], parent: Item, place: Place) -> None:
        """Each slice has as many values as it may, each value keeps what its slices ask, and the rest may be there."""
        into = slices.sort(node, found, self.library, self._means(place))
        for why in into.unclear:
            place.unjudged(f"Some values of {node.id} were not sorted into its slices: {why} is not known here.")
        for each, members in into.members:
            if not into.unclear or len(members) >= each.min:
                place.count(
                    each, len(members), parent, f"The slice '{each.slice}' of '{parent.expression}.{each.name}'"
                )
            if each.must_support and not members:
                place.absent(each)
            for item in members:
                self.element(each, item, place)
            if each.slices:
                self._slices(each, members, parent, place)
        for item, why in into.misplaced:
            place.fault(node, item.expression, "structure", f"'{item.expression}' {why}.")
        if node.slicing and node.slicing.rules == "closed":
            _closed(node, into.rest, place)

    def _types(self, node: Node, item: Item, place: Place) -> bool:
        """Whether the value is of a type that may stand here; nothing else is asked of one that is not."""
        rules = [each for each in node.types if each.code in (item.type, *ANY)]
        if not rules:
            listed = " or ".join(sorted({each.code for each in node.types}))
            text = f"'{item.expression}' is a {item.type}; it must be a {listed}."
            place.fault(node, item.expression, "structure", text)
            return False
        self._keeps_one([profile for each in rules for profile in each.profiles], node, item, place)
        if item.type == "Reference":
            self._target(rules, node, item, place)
        return True

    def _keeps_one(self, profiles: list[str], node: Node, item: Item, place: Place) -> None:
        """One profile is told in all its faults; of several one has to be kept."""
        if len(profiles) == 1:
            self.profile(item, profiles[0], *_around(item, place))
        elif profiles:
            try:
                kept = any(self._conforms(item, each, place) for each in profiles)
            except Undetermined as problem:
                place.unjudged(f"Whether '{item.expression}' keeps {problem} was not told: it is not known here.")
                return
            if not kept:
                text = f"'{item.expression}' keeps none of {', '.join(profiles)}."
                place.fault(node, item.expression, "structure", text)

    def _target(self, rules: Iterable[TypeRule], node: Node, item: Item, place: Place) -> None:
        """A reference by the type of what it is to. https://hl7.org/fhir/R4/references.html#Reference"""
        types = [self._type_of(target) for each in rules for target in each.targets]
        if not types or None in types or not set(ANY).isdisjoint(types) or not isinstance(item.value, dict):
            return
        allowed = tuple(dict.fromkeys(each for each in types if each))
        found = references.problem(item.value, allowed, place.container)
        if found and found != references.UNRESOLVED:
            seen = item.value.get("reference", item.value.get("type"))
            place.fault(node, item.expression, "value", f"'{_shown(seen)}' {found}.")

    def _type_of(self, canonical: str) -> str | None:
        """The type that a profile is about; None where it is not known."""
        found = self.known(canonical)
        return found.type if found else None

    def known(self, canonical: str) -> Profile | None:
        """The profile, where it is here and can be used."""
        try:
            return self.library.profile(canonical)
        except FhirError:
            return None

    def _conforms(self, item: Item, canonical: str, place: Place) -> bool:
        if self.known(canonical) is None:
            raise Undetermined(canonical)
        silent = self._silent()
        silent.profile(item, canonical, *_around(item, place))
        return not silent.findings.is_refused

    def _keeps(self, node: Node, item: Item, place: Place) -> bool:
        silent = self._silent()
        silent.element(node, item, Place(place.profile, place.resource, place.root, self.library, silent.findings))
        return not silent.findings.is_refused

    def _silent(self) -> Check:
        return Check(self.library, self.targets, self.missed, depth=self.depth + 1)

    def _means(self, place: Place) -> Means:
        return Means(
            resolve=lambda item: self._resolved(item, place),
            conforms=lambda item, canonical: self._conforms(item, canonical, place),
            keeps=lambda node, item: self._keeps(node, item, place),
            is_member=lambda value, value_set: bindings.is_member(self.library, value, value_set),
        )

    def _resolved(self, item: Item, place: Place) -> Item | None:
        """What a reference leads to: what is contained, in the same Bundle, or was fetched."""
        text = item.element.get("reference") if item.type == "Reference" else item.value
        if not isinstance(text, str):
            return None
        found = (
            references.contained(place.container, text[1:]) if text.startswith("#") else _in_bundle(place.root, text)
        )
        if found is None and not text.startswith("#"):
            if text not in self.targets:
                self.missed.add(text)
            found = self.targets.get(text)
        return of_resource(found, f"{item.expression}.resolve()") if found else None


def _stated(kept: bool, said: str, stated: Any, node: Node, item: Item, place: Place) -> None:
    if not kept:
        seen = "it has no value" if item.value is None else f"it is {_shown(item.value)}"
        text = f"'{item.expression}' {said} {_shown(stated)}; {seen}."
        place.fault(node, item.expression, "value", text)


def _bound(strength: str, value_set: str, node: Node, item: Item, place: Place) -> None:
    if strength not in STRENGTHS or item.value is None:
        return
    listed = bindings.codes(item.value)
    found = bindings.is_member(place.library, item.value, value_set) if listed else None
    if found is False:
        told = ", ".join(code if system is None else f"{system}|{code}" for system, code in listed)
        text = f"'{_shown(told)}' at '{item.expression}' is not in {value_set} ({strength})."
        place.fault(node, item.expression, "code-invalid", text, STRENGTHS[strength])
    elif strength == "required" and not listed:
        text = f"'{item.expression}' has no code; it must have one of {value_set}."
        place.fault(node, item.expression, "code-invalid", text)
    elif strength == "required" and found is None:
        place.unjudged(f"Not all of {value_set} is known here: some codes were not compared with it.")


def _closed(node: Node, rest: list[Item], place: Place) -> None:
    listed = ", ".join(str(each.slice) for each in node.slices)
    for item in rest:
        text = f"'{item.expression}' is in none of the slices {listed}, and there may be no others."
        place.fault(node, item.expression, "structure", text)


def _around(item: Item, place: Place) -> tuple[Resource, Resource]:
    """The resource that a value stands in, which is itself where it is one, and what contains that."""
    return (item.value if "resourceType" in item.element else place.resource), place.root


def _in_bundle(root: Resource, text: str) -> Resource | None:
    """https://hl7.org/fhir/R4/bundle.html#references"""
    for each in root.get("entry", ()) if root.get("resourceType") == "Bundle" else ():
        url = each.get("fullUrl", "")
        if url == text or url.endswith(f"/{text}"):
            found: Resource | None = each.get("resource")
            return found
    return None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else encode(value).decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
