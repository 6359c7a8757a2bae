"""What a personal health record keeps beside its findings: files, shares, saved reports, what a request did.  https://hl7.org/fhir/R4/"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_number import FLAGS, boolean, integer, is_true
from fhir_server.mapping.convert_time import instant
from fhir_server.mapping.converter import ANY, FLAG, LIST, NUMBER, SAME, TEXT, Converter
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.identity import key_text
from fhir_server.mapping.maps import ConceptMap
from fhir_server.mapping.text import folded, text

Object = dict[str, Any]
TAG = re.compile(r"<(p|div|br|ul|ol|li|h[1-6]|b|i|strong|em|span|table)\b[^>]*>", re.IGNORECASE)


def unsigned(value: Any) -> int | None:
    """A whole number that is not below zero."""
    found = integer(value)
    if found is not None and found < 0:
        raise Fault("TYPE_INVALID", "The value is below zero.")
    return found


def until(value: Any, end: Any, context: Context) -> bool | None:
    """The flag, cleared once the moment of another column has passed."""
    found = boolean(value)
    if not found or end is None:
        return found
    try:
        moment = datetime.fromisoformat(instant(end, context))
    except Fault:
        return found
    return moment.astimezone(UTC).date() >= context.today


def stand_in(value: Any) -> Any:
    """The value, with a warning that it stands for one that is missing."""
    raise Fault("REQUIRED_MISSING", "The value is missing; another column stands in for it.", kept=value)


def following(value: int, key: Any, kind: Any, rows: Sequence[Object] | None) -> int:
    """The place of a policy among those of its kind that are not the first: two, three, …"""
    if value < 2:
        return value
    before: list[Object] = []
    for row in rows or ():
        if row["id"] == key:
            return value + len(before)
        if not is_true(row["is_primary"]) and folded(row["insurance_type"]) == folded(kind):
            before.append(row)
    return value


def listing(value: Any) -> str | None:
    """The words of a JSON array in one line."""
    if not isinstance(value, list):
        raise Fault("JSON_INVALID", "The value is no JSON array.")
    return ", ".join(word for each in value if not isinstance(each, dict | list) and (word := text(each))) or None


def searches(value: Any, source: str, types: ConceptMap, context: Context) -> list[str] | None:
    """The searches that find what a saved report selects, one for each table; chosen rows become ids.

    https://hl7.org/fhir/R4/search.html"""
    if not isinstance(value, dict):
        raise Fault("JSON_INVALID", "The column holds no JSON object.")
    found = [_search(name, chosen, source, types, context) for name, chosen in value.items() if chosen]
    if None in found:
        kept = [each for each in found if each] or None
        raise Fault("JSON_UNMAPPED_KEY", "A selected table has no resource type.", kept=kept)
    return [each for each in found if each] or None


def _search(name: str, chosen: Any, source: str, types: ConceptMap, context: Context) -> str | None:
    target = types.target(name)
    if target is None or not isinstance(target.code, str):
        return None
    ids = chosen.get("ids") if isinstance(chosen, dict) else chosen
    rows = [key_text(each) for each in ids if isinstance(each, int | str)] if isinstance(ids, list) else []
    wanted = [context.ids.of(f"{source}/{folded(name)}/{row}/{target.code}") for row in rows]
    return f"{target.code}?_id={','.join(wanted)}" if wanted else target.code


def presence(value: Any, there: str, missing: str) -> str:
    """One word where there is a value, another where there is none."""
    return missing if value is None else there


def note_state(signed: Any, amended: Any) -> str:
    """How far a note is, as the map `pms-doc-status` names it."""
    if not is_true(signed):
        return "not_signed"
    return "amended" if is_true(amended) else "signed"


def html(value: str) -> str | None:
    """The text, when it has the tags of HTML."""
    return value if TAG.search(value) else None


def outline(value: Any, heading: str, other_heading: str, other: Any) -> str | None:
    """Two JSON lists as text, each below its heading."""
    parts = [(title, _points(found)) for title, found in ((heading, value), (other_heading, other))]
    return "\n\n".join("\n".join([f"{title}:", *points]) for title, points in parts if points) or None


def _points(value: Any) -> list[str]:
    listed = value if isinstance(value, list | tuple) else ()
    entries = [each.get("description") if isinstance(each, dict) else each for each in listed]
    return [word for each in entries if not isinstance(each, dict | list) and (word := text(each))]


def flag_word(value: Any) -> str:
    """A flag as `true` or `false`, however it is written; any other word as it is."""
    found = FLAGS.get(folded(value))
    return str(value) if found is None else folded(found)


def http_outcome(value: Any, error: Any) -> str | None:
    """How a request ended, as the map `pms-http-outcome` names it: `4xx`; an error without a status is an abort."""
    found = integer(value) if value is not None else None
    if found is None:
        return None if error is None else "abort"
    if not 100 <= found <= 599:
        raise Fault("TYPE_INVALID", "The value is no status of HTTP.")
    return f"{found // 100}xx"


JSON = frozenset({"json", "item"})
CONVERTERS = {
    "unsigned": Converter(unsigned, NUMBER, "unsignedInt", fails=True),
    "until": Converter(until, ANY, "boolean", ("column",), fails=True, context=True),
    "stand_in": Converter(stand_in, ANY, SAME, fails=True),
    "following": Converter(following, frozenset({"positiveInt"}), SAME, ("column", "column", "column")),
    "listing": Converter(listing, JSON, "string", fails=True, nested=True),
    "searches": Converter(searches, JSON, LIST, ("word", "map"), fails=True, context=True, nested=True),
    "presence": Converter(presence, ANY, "text", ("word", "word"), none=True, always=True),
    "note_state": Converter(note_state, ANY, "text", ("column",), none=True, always=True),
    "html": Converter(html, TEXT, SAME),
    "outline": Converter(outline, JSON, "text", ("word", "word", "column"), none=True, nested=True),
    "flag_word": Converter(flag_word, FLAG, "text"),
    "http_outcome": Converter(http_outcome, NUMBER, "text", ("column",), fails=True, none=True),
}
