"""What batch and transaction share: the posted Bundle as entries.  https://hl7.org/fhir/R4/bundle.html#bundle-unique"""

from __future__ import annotations

from msgspec.structs import replace

from fhir_server.fhir import bundle, validate
from fhir_server.fhir.bundle import Entry
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import error, invalid, too_costly
from fhir_server.interactions.context import Context


def entries(ctx: Context, outer: EntryRequest) -> list[Entry]:
    """The entries of the Bundle, its own structure checked; the resources in it are not yet."""
    posted = outer.resource or {}
    listed = posted.get("entry")
    if isinstance(listed, list) and len(listed) > ctx.limits.entries:
        raise too_costly(f"The Bundle has {len(listed)} entries; at most {ctx.limits.entries} are done at once.")
    found = bundle.entries(posted)
    _refuse_twins(found)
    validate.check(bundle.without_resources(posted))
    return found


def _refuse_twins(found: list[Entry]) -> None:
    seen: set[str] = set()
    for place, entry in enumerate(found):
        full_url = entry.get("fullUrl")
        if not isinstance(full_url, str):
            continue
        if full_url in seen:
            raise error(
                "duplicate",
                f"The fullUrl '{full_url}' stands on more than one entry.",
                status=400,
                expression=f"Bundle.entry[{place}].fullUrl",
            )
        seen.add(full_url)


def request_of(ctx: Context, outer: EntryRequest, entry: Entry) -> EntryRequest:
    """One entry as a request; what it prefers is said once, for all entries, by the outer request."""
    request = bundle.request_of(entry, base=ctx.base, prefer=_preferences(outer))
    if request.method == "POST" and not request.path:
        raise invalid("An entry cannot be a batch or transaction itself.")
    return request


def _preferences(outer: EntryRequest) -> frozenset[str]:
    """In a Bundle nothing is returned unless asked for."""
    returns = any(each.startswith("return=") for each in outer.prefer)
    return outer.prefer if returns else outer.prefer | {"return=minimal"}


def without_body_for_head(request: EntryRequest, answer: EntryResponse) -> EntryResponse:
    return replace(answer, body=None) if request.method == "HEAD" else answer
