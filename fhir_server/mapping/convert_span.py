"""How long something takes, from two moments of a row.  https://hl7.org/fhir/R4/datatypes.html#instant"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_time import instant
from fhir_server.mapping.converter import Converter
from fhir_server.mapping.fault import Fault


def minutes_to(value: str, end: Any, context: Context) -> int | None:
    """The minutes from a moment to another column's, where it is later."""
    if end is None:
        return None
    try:
        later = datetime.fromisoformat(instant(end, context))
    except Fault:
        return None
    minutes = int((later - datetime.fromisoformat(value)).total_seconds() // 60)
    return minutes if 0 < minutes < 2**31 else None


CONVERTERS = {
    "minutes_to": Converter(minutes_to, frozenset({"instant"}), "positiveInt", ("column",), context=True),
}
