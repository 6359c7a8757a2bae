"""`_id`: the logical id, a field of the document.  https://hl7.org/fhir/R4/search.html#id"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fhir_server.fhir.outcome import bad_value
from fhir_server.fhir.resource import ID
from fhir_server.search.parameter import Parameter
from fhir_server.search.term import Asked, Term
from fhir_server.search.values import unescape


def parse(text: str) -> str:
    found = unescape(text)
    if not ID.match(found):
        raise bad_value(f"'{text}' is not an id. An id has 1 to 64 letters, digits, '-' or '.'.")
    return found


def _any(_: Parameter, values: Sequence[str], __: Asked) -> Term:
    ids = tuple(dict.fromkeys(map(parse, values)))
    return Term({"id": ids[0] if len(ids) == 1 else {"$in": list(ids)}}, ids=ids)


def _none(_: Parameter, values: Sequence[str], __: Asked) -> Term:
    return Term({"id": {"$nin": [parse(value) for value in values]}})


MODIFIERS: dict[str, Callable[[Parameter, Sequence[str], Asked], Term]] = {"": _any, "not": _none}
