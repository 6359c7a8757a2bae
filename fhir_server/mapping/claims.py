"""When a resource claims a profile, as Python over the values of its elements: what is certain is not asked again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fhir_server.mapping.emit_value import VARIES, Value
from fhir_server.mapping.profiles import Profile, has

ALWAYS, NEVER = "True", "False"
LEGACY = frozenset({("identifier", "use"), ("identifier", "system"), ("identifier", "value")})
"""What the identifier that carries the key of the row always has; it has no type."""


def claim(profile: Profile, children: Mapping[str, Value]) -> str:
    """The condition under which every mandatory element has a value."""
    return _joined(
        " and ",
        (_joined(" or ", (_present(path, children) for path in wanted), NEVER, ALWAYS) for wanted in profile.mandatory),
        ALWAYS,
        NEVER,
    )


def _joined(word: str, conditions: Iterable[str], idle: str, deciding: str) -> str:
    """Conditions without those that change nothing; one that decides is all that is left."""
    found = [each for each in dict.fromkeys(conditions) if each != idle]
    if deciding in found:
        return deciding
    return f"({word.join(found)})" if len(found) > 1 else (found or [idle])[0]


def _present(path: tuple[str, ...], children: Mapping[str, Value]) -> str:
    name, _, wanted = path[0].partition("=")
    value = children.get(name)
    if value is None:
        return NEVER
    if wanted:
        return f"{value.name} == {wanted!r}"
    if value.shared is not VARIES:
        return ALWAYS if has(value.shared, path[1:]) else NEVER
    if value.always and (len(path) == 1 or path in LEGACY):
        return ALWAYS
    if len(path) == 1:
        return f"{value.name} is not None"
    if value.parts is None:
        return f"has({value.name}, {path[1:]!r})"
    return _joined(" and ", [f"{value.name} is not None", _present(path[1:], value.parts)], ALWAYS, NEVER)
