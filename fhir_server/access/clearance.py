"""What labelled resources somebody may see: up to a confidentiality, and of the sensitivities exactly these.

A resource is seen where its confidentiality and every one of its sensitivities are cleared.
https://hl7.org/fhir/R4/security-labels.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.search.labels import FIELD, HIGHEST, LEVELS, NORMAL, SENSITIVE, SENSITIVITIES, highest, upto

Filter = dict[str, Any]

EVERYTHING = "*"
"""In a token: of the operator, whom neither labels nor consents bind."""
LOWERS = "lowers"
"""In a list of words: labels may be taken away and lowered."""


class InvalidClearance(ValueError):
    """Words that are no clearance; the message says which."""


@dataclass(frozen=True, slots=True)
class Clearance:
    """`lowers` says whether labels may be taken away or lowered: adding and raising needs no privilege."""

    level: str = NORMAL
    sensitivities: frozenset[str] = frozenset()
    lowers: bool = False

    @classmethod
    def parse(cls, words: Iterable[str]) -> Clearance:
        """`R`, `HIV`, `clinical` (a group of sensitivities), `lowers`, in any order."""
        given = [each for word in words for each in SENSITIVITIES.get(word, (word,))]
        unknown = [each for each in given if each not in LEVELS and each not in SENSITIVE and each != LOWERS]
        if unknown:
            raise InvalidClearance(
                f"'{unknown[0]}' is no clearance: {', '.join(LEVELS)}, {', '.join(SENSITIVITIES)}, "
                f"{LOWERS} and the codes of sensitivities such as HIV are."
            )
        levels = [each for each in given if each in LEVELS]
        return cls(highest(levels) if levels else NORMAL, SENSITIVE & set(given), LOWERS in given)

    def __str__(self) -> str:
        return " ".join([self.level, *sorted(self.sensitivities), *([LOWERS] if self.lowers else [])])

    def __and__(self, other: Clearance) -> Clearance:
        """The narrower of two always wins."""
        level = min(self.level, other.level, key=LEVELS.index)
        return Clearance(level, self.sensitivities & other.sensitivities, self.lowers and other.lowers)

    def __or__(self, other: Clearance) -> Clearance:
        """Several roles add up."""
        level = highest([self.level, other.level])
        return Clearance(level, self.sensitivities | other.sensitivities, self.lowers or other.lowers)

    def concealed(self) -> list[Filter]:
        """Filters of which each finds what may not be seen. What is unlabelled is normal and has no entry."""
        if self.level == HIGHEST and self.sensitivities == SENSITIVE:
            return []
        levels = upto(self.level)
        beyond: Filter = {FIELD: {"$elemMatch": {"$nin": sorted({*levels, *self.sensitivities})}}}
        return [beyond] if NORMAL in levels else [beyond, {FIELD: {"$nin": list(levels)}}]


ALL = Clearance(HIGHEST, SENSITIVE, lowers=True)
