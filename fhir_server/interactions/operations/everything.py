"""$everything: the whole record of a patient or an encounter, and what it refers to.
https://hl7.org/fhir/R4/patient-operation-everything.html https://hl7.org/fhir/R4/encounter-operation-everything.html

First comes what belongs to the record, then the practitioners, organizations and so on that it points to. Pages are
searched for anew under the caller's rights; nothing is kept between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlencode

from fhir_server.fhir.definitions import compartment, resource_types
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import bad_value, invalid, too_costly
from fhir_server.fhir.primitives import interval_of
from fhir_server.interactions import cursor
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import bundles, parameters
from fhir_server.interactions.operations.care import during
from fhir_server.interactions.operations.operation import Call
from fhir_server.interactions.operations.phases import Focus, Members, Phase, Referred, Row, page
from fhir_server.interactions.operations.record import Record, Wanted
from fhir_server.search import apart
from fhir_server.search.index import index
from fhir_server.search.page import Position
from fhir_server.search.term import Filter

MAX_AT_ONCE = 20_000
"""Resources of several patients; one patient's record has no limit."""

NOBODYS: Filter = {"cmp": []}
"""What is in no patient's compartment: no reference leads from one record into another."""


async def of_patient(ctx: Context, call: Call) -> EntryResponse:
    """Of one patient, or of every patient that the caller may see."""
    wanted = _wanted(ctx, call)
    if not call.resource_id:
        return await _of_patients(ctx, call, wanted)
    await ctx.repo.current(call.resource_type, call.resource_id)
    record = Record({"cmp": f"Patient/{call.resource_id}"}, "cmp", tuple(compartment("Patient")), NOBODYS)
    return await _answer(ctx, call, wanted, [Members(ctx, record, wanted), Referred(ctx, record, wanted)])


async def _of_patients(ctx: Context, call: Call, wanted: Wanted) -> EntryResponse:
    record = Record({"cmp.0": {"$exists": True}}, "order", tuple(compartment("Patient")), NOBODYS)
    members = Members(ctx, record, wanted)
    if cursor.of(call.entry) is None and await members.count() > MAX_AT_ONCE:
        raise too_costly(f"These are more than {MAX_AT_ONCE:,} resources; ask for one patient after the other.")
    return await _answer(ctx, call, wanted, [members, Referred(ctx, record, wanted)])


async def of_encounter(ctx: Context, call: Call) -> EntryResponse:
    """The encounter, what was done in it, and what these point to in the records of the same patient."""
    wanted = _wanted(ctx, call)
    encounter = await ctx.repo.current(call.resource_type, call.resource_id)
    patients = index(encounter.resource(), ctx.base).compartments
    points = [f"{code}=Encounter/{call.resource_id}" for code in _codes("Encounter")]
    types = tuple(name for name, codes in compartment("Encounter").items() if codes)
    same_patient: Filter = {"cmp": {"$not": {"$elemMatch": {"$nin": patients}}}}
    record = Record({"tok": {"$in": points}}, "tok", types, same_patient)
    referred = Referred(ctx, record, wanted, encounter)
    return await _answer(ctx, call, wanted, [Focus(encounter, wanted), Members(ctx, record, wanted), referred])


def _codes(name: str) -> Iterator[str]:
    """The parameters that put resources into a compartment: all of its types use them in the same sense."""
    return iter(dict.fromkeys(code for codes in compartment(name).values() for code in codes))


async def _answer(ctx: Context, call: Call, wanted: Wanted, phases: list[Phase]) -> EntryResponse:
    asked = f"{call.entry.path}?{urlencode(call.applied, quote_via=quote, safe=':')}"
    token = cursor.of(call.entry)
    reached = cursor.opened(ctx, asked, token)
    rows, end = await page(phases, reached.values if reached else None, wanted.count)
    body = bundles.searchset(
        rows,
        base=ctx.base,
        self_link=cursor.page_url(ctx, asked, token),
        next_link=cursor.link(ctx, asked, Position(end)) if end else None,
        total=None if end or token else _matches(rows),
    )
    return parameters.resource(body, "Bundle")


def _matches(rows: list[Row]) -> int:
    return sum(mode == bundles.MATCH for _, mode in rows)


def _wanted(ctx: Context, call: Call) -> Wanted:
    """The parameters, read; by default everything comes at once, as far as a page goes."""
    since, start, end = (call.given.one(name) for name in ("_since", "start", "end"))
    low = interval_of(start).low if start else None
    high = interval_of(end).high if end else None
    if low and high and low >= high:
        raise invalid(f"start is {start}, which is after end, {end}.")
    since_filter: Filter = {"lu": {"$gte": interval_of(since).low}} if since else {}
    return Wanted(_types(call), since_filter, during(low, high) if start or end else {}, _count(ctx, call))


def _types(call: Call) -> frozenset[str] | None:
    asked = frozenset(name for listed in call.given.all("_type") for name in listed.split(","))
    for name in sorted(asked - resource_types()):
        raise bad_value(f"'{name}' in _type is not a resource type.")
    apart.check(asked)
    return asked or None


def _count(ctx: Context, call: Call) -> int:
    count = call.given.one("_count")
    if count is None:
        return ctx.limits.max_count
    if count < 1:
        raise bad_value(f"_count must be a whole number from 1 up, not {count}.")
    return min(int(count), ctx.limits.max_count)
