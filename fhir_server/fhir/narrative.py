"""Narrative that is safe to show: well-formed, formatting only, nothing that runs or loads.

https://hl7.org/fhir/R4/narrative.html
"""

from __future__ import annotations

import re
from html.entities import name2codepoint
from typing import Any
from xml.parsers import expat

NAMESPACE = "http://www.w3.org/1999/xhtml"
ELEMENTS = frozenset((
    "a", "abbr", "acronym", "address", "area", "b", "bdo", "big", "blockquote", "br", "caption", "cite", "code",
    "col", "colgroup", "dd", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img",
    "kbd", "li", "map", "ol", "p", "pre", "q", "samp", "small", "span", "strong", "sub", "sup", "table", "tbody",
    "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var",
))  # fmt: skip
"""HTML 4.0 chapters 7 to 11 (without 9.4) and 15, links and images; deprecated elements are not among them."""
ATTRIBUTES = frozenset((
    "abbr", "accesskey", "align", "alt", "axis", "border", "cellpadding", "cellspacing", "char", "charoff",
    "charset", "cite", "class", "colspan", "coords", "dir", "frame", "headers", "height", "href", "hreflang", "id",
    "ismap", "lang", "longdesc", "name", "nohref", "nowrap", "rel", "rev", "rowspan", "rules", "scope", "shape",
    "space", "span", "src", "style", "summary", "tabindex", "title", "type", "usemap", "valign", "width",
    "xml:lang", "xml:space", "xmlns",
))  # fmt: skip
URLS = frozenset({"href", "src", "cite", "longdesc", "usemap"})
SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):")
SAFE_SCHEMES = frozenset({"http", "https", "mailto", "tel", "urn", "ftp", "cid"})
SAFE_DATA = re.compile(r"data:image/(?:png|gif|jpe?g|webp|bmp)[;,]")
IGNORED_BY_BROWSERS = re.compile(r"[\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202f\u2060\ufeff]")
UNSAFE_STYLE = re.compile(r"\\|/\*|@import|expression|javascript|vbscript|behaviou?r|-moz-binding", re.IGNORECASE)
STYLE_URL = re.compile(r"url\(\s*['\"]?([^)]*)", re.IGNORECASE)
NAMED_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
MARKUP = re.compile(r"<[^>]*>")
TEXT = re.compile(r">\s*[^<\s]")
BARE_TAGS = frozenset(
    [
        '<div xmlns="http://www.w3.org/1999/xhtml">',
        *(tag % name for name in ELEMENTS for tag in ("<%s>", "</%s>", "<%s/>")),
    ]
)
"""Tags with nothing in them that could be unsafe: of most narratives all are, and no attribute needs a look."""


EMPTY = "must have some text or an image"


class _Unsafe(Exception):
    """What must not be in narrative, as the end of a sentence."""


def problem(div: Any) -> str | None:
    """Why the text may not be narrative, as the end of a sentence that begins with its name; None where it may."""
    if not isinstance(div, str) or not div.lstrip().startswith("<div"):
        return "must be XHTML that begins with <div xmlns='http://www.w3.org/1999/xhtml'>"
    parser = expat.ParserCreate()
    if not BARE_TAGS.issuperset(MARKUP.findall(div)):
        parser.StartElementHandler = _start
        parser.StartDoctypeDeclHandler = _doctype
        parser.ProcessingInstructionHandler = _instruction
    try:
        parser.Parse(NAMED_ENTITY.sub(numbered, div) if "&" in div else div, True)
    except _Unsafe as unsafe:
        return str(unsafe)
    except expat.ExpatError as malformed:
        return f"is not well-formed XHTML: {malformed}"
    return _without_content(div)


def _without_content(div: str) -> str | None:
    if f'xmlns="{NAMESPACE}"' not in div and f"xmlns='{NAMESPACE}'" not in div:
        return f"must be in the namespace {NAMESPACE}"
    if TEXT.search(div) or "<img" in div:
        return None
    return EMPTY


def numbered(entity: re.Match[str]) -> str:
    """XHTML's named characters as numbers, which XML can read without a DTD; other entities stay and are refused."""
    code = name2codepoint.get(entity.group(1))
    return f"&#{code};" if code else entity.group()


def _doctype(*_: Any) -> None:
    raise _Unsafe("must not have a DOCTYPE")


def _instruction(*_: Any) -> None:
    raise _Unsafe("must not have a processing instruction")


def _start(name: str, attributes: dict[str, str]) -> None:
    if name not in ELEMENTS:
        raise _Unsafe(f"must not have the element <{name[:40]}>; only formatting, links and images are allowed")
    for attribute, value in attributes.items():
        if attribute not in ATTRIBUTES:
            raise _Unsafe(f"must not have the attribute {attribute[:40]} on <{name}>")
        if attribute in URLS:
            _refuse_unsafe_url(value)
        elif attribute == "style":
            _refuse_unsafe_style(value)
        elif attribute == "xmlns" and value != NAMESPACE:
            raise _Unsafe(f"must not have the namespace '{value[:80]}'")


def _refuse_unsafe_style(value: str) -> None:
    if found := UNSAFE_STYLE.search(value):
        raise _Unsafe(f"must not have '{found.group()}' in a style")
    for url in STYLE_URL.findall(value):
        _refuse_unsafe_url(url)


def _refuse_unsafe_url(value: str) -> None:
    """Browsers skip control characters and spaces in a scheme, so they are gone before it is looked at."""
    url = IGNORED_BY_BROWSERS.sub("", value).lower()
    scheme = SCHEME.match(url)
    if scheme and scheme.group(1) not in SAFE_SCHEMES and not SAFE_DATA.match(url):
        raise _Unsafe(f"must not have the URL '{value[:40].strip()}'")
