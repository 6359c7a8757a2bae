"""history: of a resource, of a type, of everything, newest first.  https://hl7.org/fhir/R4/http.html#history"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote, urlencode

from fhir_server.fhir import bundle
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import bad_value, not_supported
from fhir_server.fhir.primitives import interval_of
from fhir_server.interactions import cursor
from fhir_server.interactions.context import Context


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a history, and as the self link says them."""

    count: int
    max_count: int
    since: datetime | None = None
    applied: tuple[tuple[str, str], ...] = ()


async def of_instance(ctx: Context, entry: EntryRequest, resource_type: str, resource_id: str) -> EntryResponse:
    return await _answer(ctx, entry, resource_type, resource_id)


async def of_type(ctx: Context, entry: EntryRequest, resource_type: str) -> EntryResponse:
    return await _answer(ctx, entry, resource_type, None)


async def of_system(ctx: Context, entry: EntryRequest) -> EntryResponse:
    return await _answer(ctx, entry, None, None)


async def _answer(
    ctx: Context, entry: EntryRequest, resource_type: str | None, resource_id: str | None
) -> EntryResponse:
    wanted = _asked(ctx, entry)
    asked = f"{entry.path}?{urlencode(wanted.applied, quote_via=quote, safe=':')}"
    token = cursor.of(entry)
    reached = cursor.opened(ctx, asked, token)
    page = await ctx.repo.history(
        resource_type,
        resource_id,
        since=wanted.since,
        before=reached,
        count=wanted.count,
    )
    links = [("self", cursor.page_url(ctx, asked, token))]
    if page.next is not None:
        links.append(("next", cursor.link(ctx, asked, page.next)))
    return EntryResponse(200, bundle.history(page.versions, base=ctx.base, links=links), resource_type="Bundle")


def _asked(ctx: Context, entry: EntryRequest) -> Asked:
    """https://hl7.org/fhir/R4/http.html#history: what is not known is refused by name."""
    wanted = Asked(ctx.limits.default_count, ctx.limits.max_count)
    for name, value in entry.query:
        if name in _PASSED:
            continue
        if name not in _PARAMETERS:
            raise not_supported(f"'{name}' is not supported on a history; {' and '.join(_PARAMETERS)} are.")
        if any(name == each for each, _ in wanted.applied):
            raise bad_value(f"'{name}' is given twice.")
        wanted = _PARAMETERS[name](wanted, value)
    return wanted


def _since(wanted: Asked, value: str) -> Asked:
    """Versions at or after an instant. A `+` that was not encoded has become a space on the way."""
    try:
        since = interval_of(value.replace(" ", "+")).low
    except ValueError as problem:
        raise bad_value(f"_since is '{value}'; an instant looks like 2024-02-29T13:28:17.239Z.") from problem
    return replace(wanted, since=since, applied=(*wanted.applied, ("_since", value)))


def _count(wanted: Asked, value: str) -> Asked:
    if not (value.isascii() and value.isdigit()) or int(value[:18]) == 0:
        raise bad_value(f"_count must be a whole number from 1 up, not '{value}'.")
    count = min(int(value[:18]), wanted.max_count)
    return replace(wanted, count=count, applied=(*wanted.applied, ("_count", str(count))))


_PASSED = frozenset({"_format", "_pretty", cursor.NAME})
_PARAMETERS: dict[str, Callable[[Asked, str], Asked]] = {"_since": _since, "_count": _count}
