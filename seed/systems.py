"""The legacy systems that sample databases can be written for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from seed import emr, hpms, ivr, mk, pms
from seed.sealing import SAMPLE_KEY


class Write(Protocol):
    """Writes a database anew: `rows` patients, and what belongs to them; answers the number of rows by table."""

    def __call__(
        self,
        url: str,
        *,
        rows: int,
        tenant: str,
        seed: int,
        strict: bool = False,
        progress: Callable[[str, int], None],
    ) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class System:
    """One of them; `keys` open its encrypted columns, by class."""

    title: str
    write: Write
    keys: Mapping[str, str]


SYSTEMS: Mapping[str, System] = {
    "emr": System("HIPAA-compliant EMR", emr.write, {"pii": SAMPLE_KEY}),
    "hpms": System("Multi-tenant practice management system", hpms.write, {"phi": SAMPLE_KEY}),
    "ivr": System("Platform for insurance verification requests", ivr.write, {"phi": SAMPLE_KEY}),
    "mk": System("Personal health record", mk.write, {}),
    "pms": System("Practice management system", pms.write, dict.fromkeys(("pii", "clinical", "financial"), SAMPLE_KEY)),
}
