"""The part of XPath by which an XML Patch says where: RFC 5261 §4.1, names with a namespace, places and values.
https://www.rfc-editor.org/rfc/rfc5261#section-4.1
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fhir_server.fhir.patch import Unpatchable
from fhir_server.fhir.xml.shape import FHIR
from fhir_server.fhir.xml.tree import Scope, Tag

MAX_LENGTH: Final = 1_000
ANY: Final = "*"

_NAME = r"(?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*"
_STEP: Final = re.compile(rf"(?P<name>{_NAME}|\*)(?P<predicates>(?:\[(?:[^\]'\"]|'[^']*'|\"[^\"]*\")*\])*)")
_PREDICATE: Final = re.compile(
    rf"\[\s*(?:(?P<place>[1-9][0-9]{{0,8}})"
    rf"|(?:(?P<child>{_NAME})/)?@(?P<attribute>[A-Za-z]+)\s*=\s*(?P<value>'[^']*'|\"[^\"]*\"))\s*\]"
)
_ATTRIBUTE: Final = re.compile(r"@(?P<name>[A-Za-z]+)\Z")

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Predicate:
    """`[2]`, `[@url='x']`, `[f:system/@value='phone']`"""

    place: int = 0
    child: Name | None = None
    attribute: str = ""
    value: str = ""

    def kept(self, tags: list[tuple[int, Tag]]) -> list[tuple[int, Tag]]:
        if self.place:
            return tags[self.place - 1 : self.place]
        return [(at, tag) for at, tag in tags if any(self._holds(each) for each in self._about(tag))]

    def _about(self, tag: Tag) -> Iterator[Tag]:
        if self.child is None:
            yield tag
        else:
            yield from (each for each in tag.children if (each.namespace, each.name) == self.child)

    def _holds(self, tag: Tag) -> bool:
        return tag.attributes.get(self.attribute) == self.value


@dataclass(frozen=True, slots=True)
class Step:
    name: Name | None
    """None for any."""
    predicates: tuple[Predicate, ...]

    def taken(self, tags: tuple[Tag, ...]) -> list[tuple[int, Tag]]:
        """Which of these are meant, each with its place among all."""
        found = [(at, tag) for at, tag in enumerate(tags) if self.name in (None, (tag.namespace, tag.name))]
        for each in self.predicates:
            found = each.kept(found)
        return found


@dataclass(frozen=True, slots=True)
class Selector:
    """Steps from the root, and an attribute of where they lead."""

    steps: tuple[Step, ...]
    attribute: str = ""

    def places(self, root: Tag) -> tuple[int, ...]:
        """The way to the one element that is meant, as the places of children; nothing for the root itself."""
        found: list[tuple[tuple[int, ...], Tag]] = [((), Tag("", "", children=(root,)))]
        for step in self.steps:
            found = [((*way, at), child) for way, tag in found for at, child in step.taken(tag.children)]
        if len(found) != 1:
            raise Unpatchable(f"It leads to {len(found) or 'no'} elements; it must lead to one.{self._hint(found)}")
        return found[0][0][1:]

    def _hint(self, found: list[tuple[tuple[int, ...], Tag]]) -> str:
        bare = any(step.name and not step.name[0] for step in self.steps)
        return f" Names without a prefix are not those of {FHIR}." if bare and not found else ""


def read(text: str, scope: Scope) -> Selector:
    """A selector, its prefixes as they are declared where it stands."""
    if len(text) > MAX_LENGTH:
        raise Unpatchable(f"The selector is longer than {MAX_LENGTH:,} characters.", status=400)
    steps: list[Step] = []
    at = 1 if text.startswith("/") else 0
    while True:
        attribute = _ATTRIBUTE.match(text, at)
        if attribute and steps:
            return Selector(tuple(steps), attribute["name"])
        found = _STEP.match(text, at)
        if found is None:
            raise _unknown(text, at)
        steps.append(Step(_name(found["name"], scope), tuple(_predicates(text, found, scope))))
        at = found.end()
        if at == len(text):
            return Selector(tuple(steps))
        if text[at] != "/":
            raise _unknown(text, at)
        at += 1


def _unknown(text: str, at: int) -> Unpatchable:
    return Unpatchable(
        f"'{text[at : at + 40]}' in the selector is not supported; names, *, [2], [@name='value'], "
        "[name/@name='value'] and @name at the end are."
    )


def _predicates(text: str, found: re.Match[str], scope: Scope) -> Iterator[Predicate]:
    at = found.start("predicates")
    while at < found.end("predicates"):
        each = _PREDICATE.match(text, at)
        if each is None:
            raise _unknown(text, at)
        at = each.end()
        if each["place"]:
            yield Predicate(int(each["place"]))
        else:
            child = _name(each["child"], scope) if each["child"] else None
            yield Predicate(0, child, each["attribute"], each["value"][1:-1])


def _name(text: str, scope: Scope) -> Name | None:
    """RFC 5261 §4.2.1: a name without a prefix has the default namespace of the patch."""
    if text == ANY:
        return None
    prefix, _, local = text.rpartition(":")
    if prefix and prefix not in scope:
        raise Unpatchable(f"The prefix '{prefix}' is not declared.", status=400)
    return scope.get(prefix, ""), local
