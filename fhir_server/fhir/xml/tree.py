"""XML as a tree of elements that is never changed in place; narrative in it stays text, letter by letter.
https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.fhir.narrative import NAMESPACE
from fhir_server.fhir.outcome import error
from fhir_server.fhir.xml.parser import MAX_ELEMENTS_DEEP, hardened, parse, too_deep
from fhir_server.fhir.xml.shape import FHIR
from fhir_server.fhir.xml.values import escaped
from fhir_server.fhir.xml.xhtml import DIV, Div

Scope = Mapping[str, str]
"""Namespaces by their prefix; that without one is under the empty text."""


@dataclass(frozen=True, slots=True)
class Tag:
    """An element. What is in a `div` of narrative is `raw`, its start and end tag included."""

    namespace: str
    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Tag, ...] = ()
    text: str = ""
    raw: str = ""
    scope: Scope = field(default_factory=dict)

    def with_children(self, children: tuple[Tag, ...]) -> Tag:
        return replace(self, children=children)

    def with_attributes(self, attributes: Mapping[str, str]) -> Tag:
        return replace(self, attributes=attributes)

    @property
    def is_void(self) -> bool:
        return not (self.attributes or self.children or self.raw)


@dataclass(slots=True)
class _Open:
    """An element whose end has not been read yet."""

    name: str
    attributes: dict[str, str]
    scope: Scope
    children: list[Tag] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def closed(self, raw: str = "") -> Tag:
        namespace, _, local = self.name.rpartition(" ")
        return Tag(namespace, local, self.attributes, tuple(self.children), "".join(self.text).strip(), raw, self.scope)


class _Reading:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._open: list[_Open] = []
        self._div: Div | None = None
        self._declared: dict[str, str] = {}
        self.root: Tag | None = None
        self._parser = parser = hardened()
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parse(parser, raw)

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        self._declared[prefix or ""] = uri or ""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        declared, self._declared = self._declared, {}
        if self._div is not None:
            self._div.open(name, attributes)
        elif len(self._open) >= MAX_ELEMENTS_DEEP:
            raise too_deep(MAX_ELEMENTS_DEEP)
        else:
            outer = self._open[-1].scope if self._open else {}
            self._open.append(_Open(name, attributes, {**outer, **declared} if declared else outer))
            if name == f"{NAMESPACE} {DIV}":
                self._div = Div(self._parser.CurrentByteIndex, stands_alone=declared.get("") == NAMESPACE)
                self._div.open(name, attributes)
        if self._div is not None and self._div.depth > MAX_ELEMENTS_DEEP:
            raise too_deep(MAX_ELEMENTS_DEEP)

    def _text(self, text: str) -> None:
        if self._div is not None:
            self._div.text(text)
        else:
            self._open[-1].text.append(text)

    def _end(self, name: str) -> None:
        raw = ""
        if self._div is not None:
            self._div.close(name)
            if self._div.depth:
                return
            raw, self._div = self._div.whole(self._raw, self._parser.CurrentByteIndex), None
        done = self._open.pop().closed(raw)
        if self._open:
            self._open[-1].children.append(done)
        else:
            self.root = done


def read(raw: bytes) -> Tag:
    """The root of a document; FhirError where it is not one that FHIR allows."""
    root = _Reading(raw).root
    if root is None:
        raise error("structure", "The body has no element.")
    return root


def write(root: Tag) -> bytes:
    """The document of FHIR elements again, without those that have become empty."""
    return "".join(_written(root, f' xmlns="{FHIR}"')).encode()


def _written(tag: Tag, namespace: Any = "") -> Iterator[str]:
    if tag.raw:
        yield tag.raw
        return
    stated = "".join(f' {name}="{escaped(value)}"' for name, value in tag.attributes.items())
    yield f"<{tag.name}{namespace}{stated}>"
    for child in tag.children:
        if not child.is_void:
            yield from _written(child)
    yield f"</{tag.name}>"
