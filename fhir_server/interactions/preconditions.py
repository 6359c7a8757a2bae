"""Entity tags and dates that a request depends on.  https://hl7.org/fhir/R4/http.html#concurrency RFC 7232"""

from __future__ import annotations

import re

from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import bad_value, not_supported, precondition_failed
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context

_TAG = re.compile(r'(?:W/)?"([1-9][0-9]{0,17})"\Z')
_TAGS = re.compile(r'(?:W/)?"([^"]*)"')


def expected_version(entry: EntryRequest) -> int | None:
    """The version that If-Match names, weak or strong; none where the header was not sent."""
    if entry.if_match is None:
        return None
    tag = _TAG.match(entry.if_match.strip())
    if tag is None:
        raise bad_value(f'If-Match is {entry.if_match!r}; the entity tag of a version looks like W/"3".')
    return int(tag[1])


def require(ctx: Context, entry: EntryRequest, version: Version) -> None:
    """412 where the entry is about another version than this one, or names none though the tenant wants it to."""
    expected = expected_version(entry)
    here = f"{version.resource_type}/{version.resource_id}"
    if expected is None and versioned_update(ctx):
        raise precondition_failed(f"If-Match is needed: the current version of {here} must be named to change it.")
    if expected not in (None, version.version_id):
        raise precondition_failed(f"The current version of {here} is not '{expected}'.")


def versioned_update(ctx: Context) -> bool:
    """Whether the tenant takes changes only of a version that is named. https://hl7.org/fhir/R4/http.html#concurrency"""
    return ctx.setting("versioning") == "versioned-update"


def only_create(entry: EntryRequest) -> bool:
    """Whether If-None-Match asks that nothing may exist yet. https://hl7.org/fhir/R4/http.html#ccreate"""
    if entry.if_none_match is None:
        return False
    if entry.if_none_match.strip() != "*":
        raise not_supported(f"If-None-Match on a write can only be *, not {entry.if_none_match!r}.")
    return True


def not_modified(entry: EntryRequest, version: Version) -> bool:
    """Whether the caller already has this version. RFC 7232 §3.3: If-None-Match takes precedence."""
    if entry.if_none_match is not None:
        return entry.if_none_match.strip() == "*" or str(version.version_id) in _TAGS.findall(entry.if_none_match)
    since = entry.if_modified_since
    return since is not None and version.last_updated.replace(microsecond=0) <= since
