"""$docref: references to a patient's documents.  http://hl7.org/fhir/us/core/STU3.1.1/OperationDefinition-docref.html

Documents are those that are stored; none is made on demand.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import invalid
from fhir_server.fhir.primitives import interval_of, period_interval
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import bundles
from fhir_server.interactions.operations.latest import NEWEST, matches, newest
from fhir_server.interactions.operations.operation import Call
from fhir_server.search.parse import parse
from fhir_server.search.values import escape


async def run(ctx: Context, call: Call) -> EntryResponse:
    found = [] if call.given.one("on-demand") else await _stored(ctx, call)
    return bundles.whole(ctx, call, found, call.applied)


async def _stored(ctx: Context, call: Call) -> list[Version]:
    """Current documents about care in the range; without one, the newest of each type."""
    start, end = call.given.one("start"), call.given.one("end")
    criteria = [("patient", call.given.one("patient")), ("status", "current"), *_types(call), *_profiles(call)]
    query = parse(("DocumentReference",), [*criteria, *NEWEST], lenient=False, base=ctx.base)
    rows = await matches(ctx, query, "type")
    if not start and not end:
        return newest(rows, 1)
    low = interval_of(start).low if start else None
    high = interval_of(end).high if end else None
    return [row.version for row in rows if _reaches(row.version, low, high)]


def _types(call: Call) -> Iterator[tuple[str, str]]:
    concept = call.given.one("type")
    if concept is None:
        return
    codings = [each for each in concept.get("coding", ()) if "code" in each]
    if not codings:
        raise invalid("The type of a document is asked for by a coding with a code.")
    yield "type", ",".join(_token(each) for each in codings)


def _token(coding: Resource) -> str:
    code = escape(coding["code"])
    return f"{escape(coding['system'])}|{code}" if "system" in coding else code


def _profiles(call: Call) -> Iterator[tuple[str, str]]:
    """Those that claim any of the profiles; one without a version stands for all its versions."""
    profiles = call.given.all("profile")
    if profiles:
        yield "_profile", ",".join(escape(each) for each in profiles)


def _reaches(version: Version, low: datetime | None, high: datetime | None) -> bool:
    """Whether the care that it documents reaches into [low, high); one that does not say may be about any time."""
    care = period_interval(version.resource().get("context", {}).get("period", {}))
    begins_in_time = high is None or care.low is None or care.low < high
    return begins_in_time and (low is None or care.high is None or care.high > low)
