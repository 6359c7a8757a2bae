"""Links to the next page: where the last one ended, sealed for this tenant, this query and this caller.

A cursor shown by another caller, or by the same one with other scopes, is 403; one that was changed, or belongs to
another search or tenant, is 400. https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import bad_value, forbidden
from fhir_server.interactions.context import Context
from fhir_server.search.page import Position, open_, seal

NAME = "_cursor"


def link(ctx: Context, asked: str, position: Position) -> str:
    """The URL of the next page of what was asked (`Patient?name=x`)."""
    return page_url(ctx, asked, sealed(ctx, asked, position))


def sealed(ctx: Context, asked: str, position: Position) -> str:
    """A place to go on from, for this caller and what was asked."""
    owned = Position((ctx.repo.caller.fingerprint, *position.values))
    return seal(owned, _binding(ctx, asked), ctx.cursor_key)


def page_url(ctx: Context, asked: str, cursor: str | None) -> str:
    """The URL of a page: the first has no cursor."""
    url = f"{ctx.base}/{asked}".rstrip("?/")
    if cursor is None:
        return url
    return f"{url}{'&' if '?' in url else '?'}{NAME}={quote(cursor)}"


def of(entry: EntryRequest) -> str | None:
    """The cursor of a request, if it has one."""
    found = [value for name, value in entry.query if name == NAME]
    if len(found) > 1:
        raise bad_value(f"'{NAME}' is given twice.")
    return found[0] if found else None


def opened(ctx: Context, asked: str, cursor: str | None) -> Position | None:
    """The place to go on from, if the cursor was made for this caller."""
    if cursor is None:
        return None
    position = open_(cursor, _binding(ctx, asked), ctx.cursor_key)
    owner, *values = position.values
    if owner != ctx.repo.caller.fingerprint:
        if ctx.repo.recording is not None:
            ctx.repo.recording.account.alert = "page-link"
        raise forbidden("This page link was made for another caller or for other scopes. Start the search again.")
    return Position(tuple[Any, ...](values))


def _binding(ctx: Context, asked: str) -> bytes:
    return f"{ctx.repo.tenant.name}\n{asked}".encode()
