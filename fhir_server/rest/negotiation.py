"""Which format comes in and which goes out.  https://hl7.org/fhir/R4/http.html#mime-type"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode

from fhir_server.fhir.outcome import FhirError, not_supported
from fhir_server.rest.headers import Headers

FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
JSON_TYPES = frozenset({FHIR_JSON, "application/json"})
ANYTHING = frozenset({"*/*", "application/*"})
FORMATS = {"json": FHIR_JSON, "xml": "application/fhir+xml", "ttl": "application/fhir+turtle"}
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
    def is_fhir(self) -> bool:
        """A FHIR representation of a Binary is wanted instead of its content."""
        return self.name in JSON_TYPES or self.name in FORMATS.values()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client can read. `fhir` is false where the native content of a Binary is as good or better."""

    pretty: bool = False
    json: bool = True
    fhir: bool = True
    shown: str = ""

    def check(self) -> None:
        if not self.json:
            raise not_supported(f"'{self.shown}' cannot be answered; this server speaks {FHIR_JSON}.", status=406)


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
        accept = Wanted(json=media_type(asked).is_json, shown=given["_format"])
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
    types = sorted((each for each in types if each.quality > 0), key=lambda each: -each.quality)
    return Wanted(
        json=any(each.is_json or each.name in ANYTHING for each in types),
        fhir=bool(types) and types[0].is_fhir,
        shown=shown,
    )


def content(headers: Headers) -> MediaType | None:
    value = headers.get(b"content-type")
    return media_type(value.decode("latin-1")) if value else None


def unsupported_content(found: MediaType | None, expected: str) -> FhirError:
    seen = "no Content-Type" if found is None else f"Content-Type '{found.name}' for FHIR {found.fhir_version}"
    return not_supported(f"The request has {seen}; this takes {expected}.", status=415)
