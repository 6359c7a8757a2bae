"""What a converter may know besides the value: the tenant's ids, zone, currency, keys, and today's date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo

from fhir_server.mapping.ciphers import Opener
from fhir_server.mapping.identity import Identity


@dataclass(frozen=True, slots=True)
class Context:
    """One tenant and one run; values only, so that a conversion can be repeated."""

    ids: Identity
    today: date
    zone: tzinfo = UTC
    currency: str = "USD"
    keys: Mapping[str, Opener] = field(default_factory=dict)
    """Source keys by key class (`pii`); never stored, never logged."""
    owner: str | None = None
    """The tenant of the source whose rows are read, as the source names it."""
    day: str = field(init=False)
    """Today as it is written."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "day", self.today.isoformat())
