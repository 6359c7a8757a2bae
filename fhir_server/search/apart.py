"""AuditEvents are kept apart: there is one for every request, and nobody who looks for records means those too.

https://hl7.org/fhir/R4/http.html#search lets a server decide what a search over the whole system covers.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from fhir_server.fhir.outcome import not_supported

TYPE: Final = "AuditEvent"


def check(types: Collection[str]) -> None:
    """Of types that were named: one cannot be searched for together with the others."""
    if TYPE in types and len(types) > 1:
        raise not_supported(f"{TYPE} in _type is searched for on its own: ask for it with a search of its own.")
