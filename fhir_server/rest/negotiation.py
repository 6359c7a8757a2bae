"""Which format comes in and which goes out.  https://hl7.org/fhir/R4/http.html#mime-type"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

from fhir_server.fhir.outcome import FhirError, not_supported
from fhir_server.rest.headers import Headers

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
FORM = "application/x-www-form-urlencoded"
JSON_TYPES = frozenset({FHIR_JSON, "application/json"})
XML_TYPES = frozenset({FHIR_XML, "application/xml", "text/xml"})
FORMATS = {"json": FHIR_JSON, "xml": FHIR_XML, "ttl": "application/fhir+turtle"}
"""Short values of `_format`. https://hl7.org/fhir/R4/http.html#parameters"""
VERSIONS = frozenset({"4.0", "4.0.1"})


@dataclass(frozen=True, slots=True)
class MediaType:
    name: str
    fhir_version: str = "4.0"
    quality: float = 1.0

    @property
    def is_json(self) -> bool:
        return self.name in JSON_TYPES and self.fhir_version in VERSIONS

    @property
    def is_xml(self) -> bool:
        return self.name in XML_TYPES and self.fhir_version in VERSIONS

    @property
    def is_fhir(self) -> bool:
        """A FHIR representation of a Binary is wanted instead of its content."""
        return self.name in JSON_TYPES or self.name in FORMATS.values()


class Format(StrEnum):
    """The two that this server speaks."""

    JSON = "json"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client can read; no format where it takes neither.

    `fhir` is false where the native content of a Binary is as good or better.
    """

    pretty: bool = False
    format: Format | None = Format.JSON
    fhir: bool = True
    shown: str = ""

    @property
    def as_stored(self) -> bool:
        """Whether the bytes go out as they are, which is the short way."""
        return self.format is Format.JSON and not self.pretty

    def check(self, only: str | None = None) -> None:
        """406 where the client can read nothing of what there is; `only` is a media type without an alternative."""
        if only is not None and self.format is Format.XML:
            raise not_supported(f"'{self.shown}' cannot be answered; this is answered as {only}.", status=406)
        if self.format is None:
            raise not_supported(
                f"'{self.shown}' cannot be answered; this server speaks {FHIR_JSON} and {FHIR_XML}.", status=406
            )


@lru_cache(maxsize=1024)
def media_type(text: str) -> MediaType:
    """A media type with those of its parameters that matter here. RFC 9110 §8.3.1"""
    name, *parameters = (part.strip() for part in text.split(";"))
    given = {
        key.strip().lower(): value.strip().strip('"') for key, _, value in (each.partition("=") for each in parameters)
    }
    return MediaType(name.lower(), given.get("fhirversion", "4.0"), _quality(given.get("q", "1")))


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def wanted(headers: Headers, query: str) -> Wanted:
    """`_format` overrides Accept. https://hl7.org/fhir/R4/http.html#mime-type"""
    accept = _accepted(headers.get(b"accept", b"*/*"))
    if "_format" not in query and "_pretty" not in query:
        return accept
    given = dict(parse_qsl(query, keep_blank_values=True))
    if "_format" in given:
        # A '+' that was not encoded has become a space on the way.
        asked = FORMATS.get(given["_format"], given["_format"].replace(" ", "+"))
        accept = Wanted(format=_format(media_type(asked)), shown=given["_format"])
    return replace(accept, pretty=given.get("_pretty") == "true")


def without_format(query: str) -> str:
    """The query without the two parameters that end at the door."""
    if "_format" not in query and "_pretty" not in query:
        return query
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode([pair for pair in pairs if pair[0] not in ("_format", "_pretty")])


@lru_cache(maxsize=1024)
def _accepted(value: bytes) -> Wanted:
    shown = value.decode("latin-1")
    types = [media_type(each) for each in shown.split(",") if each.strip()] or [media_type("*/*")]
    best = max(types, key=lambda each: each.quality)
    return Wanted(format=_preferred(types), fhir=best.quality > 0 and best.is_fhir, shown=shown)


def _preferred(types: list[MediaType]) -> Format | None:
    """The format of the higher quality; of two that are equally welcome JSON, which costs less. RFC 9110 §12.5.1"""
    qualities = {each: _quality_of(each, types) for each in Format}
    best = max(Format, key=lambda each: qualities[each])
    return best if qualities[best] > 0 else None


def _quality_of(asked: Format, types: list[MediaType]) -> float:
    """What names the format itself has precedence over `application/*`, and that over `*/*`."""
    named = [each.quality for each in types if _format(each) == asked]
    ranges = [[each.quality for each in types if each.name == name] for name in ("application/*", "*/*")]
    return next((max(found) for found in (named, *ranges) if found), 0.0)


def _format(found: MediaType) -> Format | None:
    if found.is_json:
        return Format.JSON
    return Format.XML if found.is_xml else None


def content(headers: Headers) -> MediaType | None:
    value = headers.get(b"content-type")
    return media_type(value.decode("latin-1")) if value else None


def unsupported_content(
    found: MediaType | None, expected: str, *, headers: Iterable[tuple[str, str]] = ()
) -> FhirError:
    seen = "no Content-Type" if found is None else f"Content-Type '{found.name}' for FHIR {found.fhir_version}"
    return not_supported(f"The request has {seen}; this takes {expected}.", status=415, headers=headers)
