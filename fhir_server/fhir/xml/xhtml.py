"""Narrative: the one element that is kept letter by letter.  https://hl7.org/fhir/R4/narrative.html"""

from __future__ import annotations

import re

from fhir_server.fhir.narrative import NAMED_ENTITY, NAMESPACE, numbered
from fhir_server.fhir.xml.values import escaped

DIV = "div"
OF_XML = frozenset({"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"})
"""The names that XML itself knows."""
OPENING = re.compile(r"""\s*<div(?:\s+[^\s=>]+\s*=\s*(?:"[^"]*"|'[^']*'))*""")
QUOTED = re.compile(r"""(?<==)\s*(?:"[^"]*"|'[^']*')""")
DECLARED = re.compile(r"\sxmlns\s*=")
XML_LANGUAGE = "http://www.w3.org/XML/1998/namespace "


def written(div: str) -> str:
    """Narrative of JSON as it stands in XML, where other named characters need a number and the namespace its place."""
    text = NAMED_ENTITY.sub(_known, div) if "&" in div else div
    opening = OPENING.match(text)
    if opening is None or DECLARED.search(QUOTED.sub("", opening.group())):
        return text
    return text.replace("<div", f'<div xmlns="{NAMESPACE}"', 1)


def _known(entity: re.Match[str]) -> str:
    return entity.group() if entity.group() in OF_XML else numbered(entity)


class Div:
    """Narrative on its way in: where it began, and what it says should it have to be written anew.

    It has to where its namespace is declared further out or by a prefix: the text alone would not mean the same.
    """

    def __init__(self, start: int, *, stands_alone: bool):
        self._start = start
        self._stands_alone = stands_alone
        self._parts: list[str] = []
        self.depth = 0

    def open(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if not self._stands_alone:
            declared = {"xmlns": NAMESPACE} if self.depth == 1 else {}
            shown = [f' {_local(each)}="{escaped(value)}"' for each, value in (declared | attributes).items()]
            self._parts.append(f"<{_local(name)}{''.join(shown)}>")

    def text(self, text: str) -> None:
        if not self._stands_alone:
            self._parts.append(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))

    def close(self, name: str) -> None:
        self.depth -= 1
        if not self._stands_alone:
            self._parts.append(f"</{_local(name)}>")

    def whole(self, raw: bytes, last_tag: int) -> str:
        """The narrative, once it is closed by the tag that begins at `last_tag`."""
        if not self._stands_alone:
            return "".join(self._parts)
        if last_tag == self._start:
            return f'<div xmlns="{NAMESPACE}"/>'
        return raw[self._start : raw.index(b">", last_tag) + 1].decode()


def _local(name: str) -> str:
    """Of another namespace the URL stays, which no rule of narrative lets pass."""
    return name.removeprefix(f"{NAMESPACE} ").replace(XML_LANGUAGE, "xml:").replace(" ", ":")
