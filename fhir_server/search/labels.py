"""Security labels that decide who may see a resource: confidentiality and sensitivities, in the field `sec`.

Only what differs from an unlabelled resource, which counts as normal, has an entry; others are for searching only.
https://hl7.org/fhir/R4/security-labels.html https://terminology.hl7.org/CodeSystem-v3-Confidentiality.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fhir_server.fhir.resource import Resource

FIELD: Final = "sec"

CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OBSERVATION_VALUE: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"

SYSTEMS: Final[Mapping[str, str]] = {
    CONFIDENTIALITY: CONFIDENTIALITY,
    "http://hl7.org/fhir/v3/Confidentiality": CONFIDENTIALITY,
    "urn:oid:2.16.840.1.113883.5.25": CONFIDENTIALITY,
    ACT_CODE: ACT_CODE,
    "http://hl7.org/fhir/v3/ActCode": ACT_CODE,
    "urn:oid:2.16.840.1.113883.5.4": ACT_CODE,
}
"""The names that these code systems had before, with the ones that they have."""

LEVELS: Final = ("U", "L", "M", "N", "R", "V")
"""From what everybody may see to what nearly nobody may."""
NORMAL: Final = "N"
HIGHEST: Final = "V"

SENSITIVITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "part-2": ("ETH", "ETHUD", "OPIOIDUD", "SUD"),
    "psychotherapy": ("PSYTHPN",),
    "clinical": (
        *("ADOL", "BH", "COGN", "DIA", "DRGIS", "DVD", "EMOTDIS", "GDIS", "HIV", "MH", "MST", "PSY", "SCA", "SDV"),
        *("SEX", "SICKLE", "SPI", "STD", "VIO"),
    ),
    "personal": ("DEMO", "DOB", "GENDER", "LIVARG", "MARST", "RACE", "REL"),
    "work": ("B", "EMP", "EMPL", "LOCIS", "SSP"),
    "guarded": ("CEL", "PDS", "PHY", "PRS", "TBOO"),
}
"""Codes of https://hl7.org/fhir/R4/v3/InformationSensitivityPolicy/vs.html by who usually has to do with them."""

SENSITIVE: Final = frozenset(code for codes in SENSITIVITIES.values() for code in codes)

ALTERED: Final = frozenset({"MASKED", "REDACTED"})
"""Of a copy that leaves something out, as somebody was shown it. https://hl7.org/fhir/R4/v3/ObservationValue/cs.html"""


def entries(resource: Resource) -> list[str]:
    """The highest confidentiality unless it is normal, then the sensitivities; nothing where there are none."""
    labels = resource.get("meta", {}).get("security", ())
    coded = [(SYSTEMS.get(each.get("system", "")), each.get("code")) for each in labels]
    levels = [_level(code) for system, code in coded if system == CONFIDENTIALITY and code]
    level = highest(levels) if levels else NORMAL
    sensitive = {code for system, code in coded if system == ACT_CODE and code in SENSITIVE}
    return [*([] if level == NORMAL else [level]), *sorted(sensitive)]


def altered(resource: Resource) -> bool:
    """Whether a resource says of itself that it is not all there."""
    labels = resource.get("meta", {}).get("security", ())
    return any(each.get("system") == OBSERVATION_VALUE and each.get("code") in ALTERED for each in labels)


def highest(levels: Iterable[str]) -> str:
    """The high-water mark. https://hl7.org/fhir/R4/security-labels.html#hcs"""
    return max(levels, key=LEVELS.index)


def upto(level: str) -> tuple[str, ...]:
    """The levels that somebody with this clearance may see."""
    return LEVELS[: LEVELS.index(level) + 1]


def lost(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What protected a resource before and does not any more: labels that are gone, or a level that is lower."""
    gone = [each for each in before if each in SENSITIVE and each not in after]
    return [*([] if _rank(after) >= _rank(before) else [_of(before)]), *gone]


def higher(found: Sequence[str], wanted: str) -> bool:
    """Whether a label says more than those that are there; of a sensitivity each does."""
    return wanted not in LEVELS or LEVELS.index(wanted) > _rank(found)


def coding(code: str) -> dict[str, Any]:
    """A label as it stands in a resource."""
    return {"system": CONFIDENTIALITY if code in LEVELS else ACT_CODE, "code": code}


def _level(code: str) -> str:
    """A level that nobody knows is the highest."""
    return code if code in LEVELS else HIGHEST


def _of(found: Sequence[str]) -> str:
    return next((each for each in found if each in LEVELS), NORMAL)


def _rank(found: Sequence[str]) -> int:
    return LEVELS.index(_of(found))
