"""Codes: of a known system by their syntax, through a map, or as a test.  https://hl7.org/fhir/R4/datatypes.html#CodeableConcept"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.mapping.converter import ANY, ITEM, MAPPED, TEST, Converter, Words
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.maps import ConceptMap, Translation
from fhir_server.mapping.text import folded, is_nothing

ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
SYNTAX: Mapping[str, re.Pattern[str]] = {
    ICD10CM: re.compile(r"[A-TV-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?\Z"),
    "http://www.ama-assn.org/go/cpt": re.compile(r"(\d{4}[0-9A-Z]|[0-9A-Z]{2})\Z"),
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": re.compile(r"[A-V]\d{4}\Z"),
    "http://nucc.org/provider-taxonomy": re.compile(r"\d{3}[0-9A-Z]{6}X\Z"),
    "http://hl7.org/fhir/resource-types": re.compile(r"[A-Z][A-Za-z]+\Z"),
    "urn:ietf:bcp:47": re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z"),
}
"""How codes of a system look; CPT modifiers are its codes of two characters."""
ANY_CODE = re.compile(r"\S+( \S+)*\Z")
"""How codes of any other system look.  https://hl7.org/fhir/R4/datatypes.html#code"""


def cccode(value: Any, systems: Words, text: str | None = None) -> dict[str, Any] | None:
    """A concept with the code of the first system whose syntax the value has, and the words that go with it."""
    found = _coding(str(value), systems)
    if found is None and is_nothing(str(value)):
        return {"text": text} if text else None
    if found is None:
        raise Fault("TYPE_INVALID", "The value is not a code of its system.", kept={"text": text or str(value)})
    return {"coding": [found], "text": text} if text else {"coding": [found]}


@lru_cache(maxsize=16_384)
def _coding(value: str, uris: tuple[str, ...]) -> dict[str, str] | None:
    return first_coding(value, uris, lambda code, uri: bool(SYNTAX.get(uri, ANY_CODE).match(code)))


def first_coding(value: str, uris: Iterable[str], fits: Callable[[str, str], bool]) -> dict[str, str] | None:
    """A Coding of the first system that the value fits as a code of it."""
    for uri in uris:
        code = dotted(value) if uri == ICD10CM else value
        if fits(code, uri):
            return {"system": uri, "code": code}
    return None


def dotted(value: str) -> str:
    """ICD-10-CM is often stored without its dot."""
    bare = value.upper()
    return f"{bare[:3]}.{bare[3:]}" if len(bare) > 3 and "." not in bare else bare


def mapped(value: Any, translation: Translation) -> Any:
    return translation[value]


def code_of(value: Any, concept_map: ConceptMap) -> Any:
    """The bare code of a map for a value that it knows; any other value as it is."""
    target = concept_map.target(value)
    return target.code if target and target.code is not None else value


def one_of(value: Any, values: Words) -> bool | None:
    """A test: the value is one of these."""
    return True if folded(value) in values else None


def none_of(value: Any, values: Words) -> bool | None:
    """A test: there is a value, and it is none of these."""
    return None if folded(value) in values else True


def has_word(value: str, values: Words) -> bool | None:
    """A test: one of these is a word of the text; `M.D., PhD` has the word `md`."""
    words = re.split(r"[^a-z0-9]+", value.casefold().replace(".", ""))
    return True if any(each in words for each in values) else None


def keyword(value: Any, words: Words) -> str:
    """The first of these that the text contains, for a map; else the text itself."""
    written = folded(value)
    return next((each for each in words if each in written), str(value))


CONVERTERS = {
    "cccode": Converter(cccode, ITEM, "CodeableConcept", ("system+", "column?"), fails=True),
    "map": Converter(mapped, ANY, MAPPED, ("map",), fails=True, none=True),
    "code_of": Converter(code_of, ITEM | {"boolean"}, "text", ("map",)),
    "one_of": Converter(one_of, ANY, TEST, ("value+",)),
    "none_of": Converter(none_of, ANY, TEST, ("value+",)),
    "keyword": Converter(keyword, ITEM, "text", ("value+",)),
    "has_word": Converter(has_word, ITEM, TEST, ("value+",)),
}
