"""What is wrong with a declaration, found before any row is read: file, line, sentence, suggestion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    file: str
    line: int
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity}: {self.message}"


class MappingError(Exception):
    """Declarations that must not run."""

    def __init__(self, problems: Sequence[Problem]):
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def refuse(file: str, line: int, message: str) -> MappingError:
    return MappingError([Problem(file, line, message)])


def suggestion(seen: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` where something known is close, else what is known when that is short."""
    names = sorted(set(known))
    close = get_close_matches(seen, names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(names)}." if 0 < len(names) <= 12 else ""
