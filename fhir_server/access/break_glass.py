"""Breaking the glass: one patient's record is opened for a while to who would not see it.  45 CFR 164.312(a)(2)(ii)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from fhir_server.access.caller import BREAK_GLASS, Caller
from fhir_server.access.clearance import Clearance
from fhir_server.fhir.outcome import FhirError, forbidden

OFF: Final = "off"
SCOPE: Final = "patient/*.rs"

OVER: Final = "The time for which the glass was broken is over."
ONE: Final = "The glass was broken for one patient; this is about another one."


def eligible(roles: Iterable[str] | None) -> bool:
    """Whether somebody with these roles may break the glass at all."""
    return not set(roles or ()).isdisjoint(table()["eligible"])


def opened(policy: str) -> Clearance:
    """What labels hide no more, by the policy of the tenant."""
    return Clearance.parse(table()["policies"][policy])


def minutes(asked: str | None) -> int | None:
    """For how long; None where that is no number of minutes that may be asked for."""
    most: int = table()["minutes"]
    if asked is None:
        return most
    return int(asked) if asked.isascii() and asked.isdigit() and 1 <= int(asked[:4]) <= most else None


def refusal(caller: Caller, path: Mapping[str, str], now: datetime | None = None) -> FhirError | None:
    """Of a request under a broken glass, from its address alone: nothing is told by what there is."""
    if caller.purpose != BREAK_GLASS or caller.until is None:
        return None
    if caller.until <= (now or datetime.now(UTC)):
        return forbidden(OVER)
    named = {path["resource_id"]} if path.get("resource_type") == "Patient" and "resource_id" in path else set()
    if path.get("compartment_type") == "Patient":
        named.add(path["compartment_id"])
    return forbidden(ONE) if named - {caller.patient} else None


@cache
def table() -> Mapping[str, Any]:
    """As it is written down."""
    text = files("fhir_server.access").joinpath("break_glass.yaml").read_text(encoding="utf-8")
    listed: Mapping[str, Any] = yaml.safe_load(text)
    return listed
