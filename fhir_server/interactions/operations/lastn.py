"""$lastn: the most recent observations of each code.  https://hl7.org/fhir/R4/observation-operation-lastn.html"""

from __future__ import annotations

from typing import Final

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import error, not_supported
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import bundles
from fhir_server.interactions.operations.latest import NEWEST, matches, newest
from fhir_server.interactions.operations.operation import Call
from fhir_server.search.parse import parse
from fhir_server.search.query import Query

_SUBJECTS: Final = frozenset({"patient", "subject"})
_KINDS: Final = frozenset({"category", "code", "code-value-concept", "combo-code", "component-code"})


async def run(ctx: Context, call: Call) -> EntryResponse:
    query = _query(ctx, call)
    most: int = call.given.one("max") or 1
    found = newest(await matches(ctx, query, "code"), most)
    applied = [*(each for each in query.applied if each not in NEWEST), ("max", str(most))]
    return bundles.whole(ctx, call, found, applied)


def _query(ctx: Context, call: Call) -> Query:
    """What to look among: the criteria of the caller, of which some are required."""
    names = {name.partition(":")[0] for name, _ in call.given.searched}
    if not names & _SUBJECTS:
        raise error("required", "$lastn needs a patient or a subject.")
    if not names & _KINDS:
        raise error("required", "$lastn needs a category or a code.")
    lenient = "handling=lenient" in call.entry.prefer
    query = parse(("Observation",), [*call.given.searched, *NEWEST], lenient=lenient, base=ctx.base, words=ctx.words)
    if query.total or query.summary or query.elements or query.includes:
        raise not_supported("_total, _summary, _elements and _include are not supported on $lastn.")
    return query
