"""Single codings, of a system whose codes have a known form or a check digit.  https://hl7.org/fhir/R4/datatypes.html#Coding"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.mapping.convert_code import SYNTAX, first_coding
from fhir_server.mapping.converter import ANY, ITEM, SAME, Converter, Words
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.maps import ConceptMap
from fhir_server.mapping.text import is_nothing

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
NDC = "http://hl7.org/fhir/sid/ndc"
CPT = "http://www.ama-assn.org/go/cpt"
DIHEDRAL = (
    "0123456789",
    "1234067895",
    "2340178956",
    "3401289567",
    "4012395678",
    "5987604321",
    "6598710432",
    "7659821043",
    "8765932104",
    "9876543210",
)
"""The group of which Verhoeff's check digit is made."""
PERMUTED = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def codingcode(value: Any, systems: Words, display: str | None = None) -> dict[str, str] | None:
    """A Coding of the first system whose codes look like the value, and the words that go with it."""
    written = " ".join(str(value).split())
    if is_nothing(written):
        return None
    found = _coding(written, systems)
    if found is None:
        raise Fault("TYPE_INVALID", "The value is not a code of its system.")
    return {**found, "display": display} if display else dict(found)


@lru_cache(maxsize=16_384)
def _coding(value: str, uris: tuple[str, ...]) -> Mapping[str, str] | None:
    return first_coding(value, uris, _fits)


def _fits(code: str, uri: str) -> bool:
    """Local systems have codes of any form."""
    if uri in CHECKS:
        return CHECKS[uri](code)
    return uri not in SYNTAX or bool(SYNTAX[uri].match(code))


def is_loinc(code: str) -> bool:
    """https://loinc.org/kb/users-guide/: the last digit checks the others, by the rule of Luhn."""
    found = re.fullmatch(r"(\d{1,7})-(\d)", code, re.ASCII)
    if not found:
        return False
    doubled = (int(each) * (1 if at % 2 else 2) for at, each in enumerate(reversed(found[1])))
    return (10 - sum(each - 9 if each > 9 else each for each in doubled) % 10) % 10 == int(found[2])


def is_snomed(code: str) -> bool:
    """https://confluence.ihtsdotools.org/display/DOCRELFMT: the last digit checks the others, by Verhoeff's rule."""
    if not re.fullmatch(r"[1-9]\d{5,17}", code, re.ASCII):
        return False
    check = 0
    for at, each in enumerate(reversed(code)):
        check = int(DIHEDRAL[check][int(PERMUTED[at % 8][int(each)])])
    return check == 0


def is_ndc(code: str) -> bool:
    """Ten or eleven digits, in three parts or in one."""
    return bool(re.fullmatch(r"\d+(-\d+){0,2}", code, re.ASCII)) and len(code.replace("-", "")) in (10, 11)


def is_procedure(code: str) -> bool:
    """A code of CPT, not one of its modifiers."""
    return re.fullmatch(r"\d{4}[0-9A-Z]", code, re.ASCII) is not None


CHECKS: Mapping[str, Callable[[str], bool]] = {LOINC: is_loinc, SNOMED: is_snomed, NDC: is_ndc, CPT: is_procedure}


def matched(value: Any, concept_map: ConceptMap) -> Any:
    """The value, as long as a map has a target for it."""
    target = concept_map.target(value)
    return value if target and target.code is not None else None


CONVERTERS = {
    "codingcode": Converter(codingcode, ITEM, "Coding", ("system+", "column?"), fails=True),
    "matched": Converter(matched, ANY, SAME, ("map",)),
}
