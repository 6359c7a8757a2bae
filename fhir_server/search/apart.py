"""AuditEvents are kept apart: there is one for every request, and nobody who looks for records means those too.

https://hl7.org/fhir/R4/http.html#search lets a server decide what a search over the whole system covers.

As there are so many, of their entries in `tok` and `str` only those are indexed that tell one event from most others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from fhir_server.fhir.outcome import not_supported

TYPE: Final = "AuditEvent"

FIELD: Final = "ref"
"""The entries that are indexed, once more."""

_COMMON: Final = re.compile(
    r"(action:[CRUE]|outcome:0|(agent|entity|source):#"
    r"|_profile=https://profiles\.ihe\.net/ITI/BALP/.*|type(:|=.*\|)rest|agent-role[:=].*"
    r"|subtype(:|=.*\|)(read|vread|search-type|create|update|patch|batch|transaction)"
    r"|entity-type(:|=.*\|)(1|2|XrequestId)|entity-role(:|=.*\|)(1|4|24))\Z"
)
"""Entries of so many events that the order of time finds some of them as fast: those of the requests of every day."""

_SAYS_LESS: Final = re.compile(
    r"(?P<version_of>(agent|entity|source)=[A-Z][A-Za-z]+/[^/|]+)/_history/[^/|]+\Z"
    r"|(?P<code>[a-z_-]+(:identifier)?)=\|(?P<value>.+)\Z",
    re.DOTALL,
)
"""Entries that are never without another: a version without what it is one of, a value as one that has no system."""

_NAMES: Final = ("address:", "agent-name:", "entity-name:")
"""The strings that are indexed; the texts of codes are not."""


def alone(types: Sequence[str]) -> bool:
    """Whether it is what is searched for, which it can be by itself only."""
    return len(types) == 1 and types[0] == TYPE


def check(types: Collection[str]) -> None:
    """Of types that were named: one cannot be searched for together with the others."""
    if TYPE in types and len(types) > 1:
        raise not_supported(f"{TYPE} in _type is searched for on its own: ask for it with a search of its own.")


def entries(tokens: Iterable[str], strings: Iterable[str]) -> list[str]:
    """What an event is found by."""
    return [*telling(tokens), *named(strings)]


def telling(tokens: Iterable[str]) -> list[str]:
    """Those that are indexed."""
    return [each for each in tokens if _sought(each) == each]


def _sought(token: str) -> str | None:
    """What is indexed of whatever has this entry: it, or one that says less; nothing where that is no help."""
    if _COMMON.match(token):
        return None
    less = _SAYS_LESS.match(token)
    return token if less is None else less["version_of"] or f"{less['code']}:{less['value']}"


def named(strings: Iterable[str]) -> list[str]:
    """The same of strings."""
    return [each for each in strings if each.startswith(_NAMES)]


def entering(criteria: Mapping[str, Any]) -> dict[str, Any]:
    """The same criteria, with the entries that are indexed looked for in their index."""
    found = {name: value for name, value in criteria.items() if name != "tok"}
    if "$and" in found:
        found["$and"] = [entering(each) for each in found["$and"]]
    if "tok" not in criteria:
        return found
    wanted, indexed = _parted(criteria["tok"])
    return {**({FIELD: indexed} if indexed else {}), **({"tok": wanted} if wanted else {}), **found}


def _parted(wanted: Any) -> tuple[Any, Any]:
    """What is still asked of `tok`, and what of the entries that are indexed."""
    if isinstance(wanted, str):
        others, indexed = _of_all([wanted])
        return next(iter(others), None), next(iter(indexed), None)
    operator = next(iter(wanted)) if isinstance(wanted, Mapping) and len(wanted) == 1 else ""
    if operator not in _PARTS:
        return wanted, None
    others, indexed = _PARTS[operator](wanted[operator])
    return {operator: others} if others else None, {operator: indexed} if indexed else None


def _of_all(tokens: list[str]) -> tuple[list[str], list[str]]:
    found = {each: _sought(each) for each in tokens}
    indexed = [each for each in found.values() if each is not None]
    return [each for each in tokens if found[each] != each], list(dict.fromkeys(indexed))


def _of_any(tokens: list[str]) -> tuple[list[str], list[str]]:
    found = [_sought(each) for each in tokens]
    indexed = [each for each in found if each is not None]
    if len(indexed) < len(found):
        return tokens, []
    return [] if found == tokens else tokens, list(dict.fromkeys(indexed))


_PARTS: Final[dict[str, Callable[[list[str]], tuple[list[str], list[str]]]]] = {"$all": _of_all, "$in": _of_any}


def index_for(hint: str | None, found: Mapping[str, Any]) -> str | None:
    """Instead of the index of all entries, which there is none of here, one that has the same order."""
    return hint if hint != "tok" else FIELD if _enters(found) else "order"


def _enters(found: Mapping[str, Any]) -> bool:
    return FIELD in found or any(_enters(each) for each in found.get("$and", ()))
