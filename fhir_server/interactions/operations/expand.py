"""$expand: the codes of a value set, all or those that a text finds.
https://hl7.org/fhir/R4/valueset-operation-expand.html

The answer is flat, in the order of the value set; `total` counts what all pages have together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import bad_value
from fhir_server.fhir.resource import Resource, instant
from fhir_server.fhir.terminology.value_set import Member, unknown_value_set
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations import codings, parameters
from fhir_server.interactions.operations.operation import Call
from fhir_server.interactions.terminology import Terminology

NOT_SUPPORTED: Final = (
    "context",
    "contextDirection",
    "date",
    "designation",
    "exclude-system",
    "system-version",
    "check-system-version",
    "force-system-version",
)
_KEPT: Final = ("id", "url", "version", "name", "title", "status", "experimental", "date")


async def run(ctx: Context, call: Call) -> EntryResponse:
    codings.unsupported(call, NOT_SUPPORTED)
    offset, count = _whole_number(call, "offset"), _whole_number(call, "count")
    value_set = await named(ctx, call)
    found = await Terminology(ctx.repo).expanded(
        value_set, text=call.given.one("filter") or "", active_only=call.given.one("activeOnly") is True
    )
    if call.given.one("excludeNotForUI"):
        found = [each for each in found if not each.abstract]
    page = found[offset or 0 :][: len(found) if count is None else count]
    answer: Resource = {
        "resourceType": "ValueSet",
        **{name: value_set[name] for name in _KEPT if name in value_set},
        **_definition(call, value_set),
        "expansion": _expansion(call, len(found), page),
    }
    return parameters.resource(json.encode(answer), "ValueSet")


async def named(ctx: Context, call: Call) -> Resource:
    """The value set of the path, in the body, or by its canonical URL."""
    way = codings.only(call, ("url", "valueSet"))
    if way == "valueSet":
        sent: Resource = call.given.one("valueSet")
        return sent
    if way is None:
        found = await codings.instance(ctx, call)
        if found is None:
            raise parameters.required(call.operation.code, "url")
        return found
    url, _, version = call.given.one("url").partition("|")
    version = call.given.one("valueSetVersion") or version or None
    found = await Terminology(ctx.repo).value_set(url, version)
    if found is None:
        raise unknown_value_set(f"{url}|{version}" if version else url)
    return found


def _whole_number(call: Call, name: str) -> int | None:
    value: int | None = call.given.one(name)
    if value is not None and value < 0:
        raise bad_value(f"'{name}' is {value}; it is zero or more.")
    return value


def _definition(call: Call, value_set: Resource) -> Resource:
    wanted = call.given.one("includeDefinition") is True and "compose" in value_set
    return {"compose": value_set["compose"]} if wanted else {}


def _expansion(call: Call, total: int, page: Sequence[Member]) -> Resource:
    language = call.given.one("displayLanguage")
    designations = call.given.one("includeDesignations") is True
    expansion: dict[str, Any] = {"timestamp": instant(datetime.now(UTC)), "total": total}
    if call.given.one("offset") is not None:
        expansion["offset"] = call.given.one("offset")
    listed = [_parameter(name, call.given.one(name)) for name in _SHAPING if call.given.one(name) is not None]
    if listed:
        expansion["parameter"] = listed
    if page:
        expansion["contains"] = [_contains(in_language(each, language), designations) for each in page]
    return expansion


_SHAPING: Final = {
    "filter": "String",
    "offset": "Integer",
    "count": "Integer",
    "activeOnly": "Boolean",
    "excludeNotForUI": "Boolean",
    "includeDesignations": "Boolean",
    "displayLanguage": "Code",
}
"""What had an effect is said in the answer. https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.expansion.parameter"""


def _parameter(name: str, value: Any) -> Resource:
    return {"name": name, f"value{_SHAPING[name]}": value}


def in_language(member: Member, language: str | None) -> Member:
    """With the designation of a language as its display, where there is one."""
    if language is None:
        return member
    translated = [each["value"] for each in member.designations if _speaks(each.get("language", ""), language)]
    return replace(member, display=translated[0]) if translated else member


def _speaks(found: str, wanted: str) -> bool:
    """`de` is answered by `de-CH`. RFC 4647 §3.3.1"""
    return found.casefold() == wanted.casefold() or found.casefold().startswith(f"{wanted.casefold()}-")


def _contains(member: Member, designations: bool) -> Resource:
    optional = {
        "abstract": member.abstract or None,
        "inactive": member.inactive or None,
        "version": member.version,
        "code": member.code,
        "display": member.display,
        "designation": list(member.designations) if designations and member.designations else None,
    }
    return {"system": member.system, **{name: value for name, value in optional.items() if value is not None}}
