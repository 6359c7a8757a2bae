"""The text of a search value: escapes, lists and prefixes.  https://hl7.org/fhir/R4/search.html#escaping"""

from __future__ import annotations

import re

from fhir_server.fhir.outcome import bad_value

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
"""https://hl7.org/fhir/R4/search.html#prefix"""

_ESCAPED = re.compile(r"\\([\\,|$])")
_SPECIAL = re.compile(r"[\\,|$]")
_COMMA = re.compile(r"((?:[^\\,]|\\.?)*)(,|\Z)", re.DOTALL)
_PIPE = re.compile(r"((?:[^\\|]|\\.?)*)(\||\Z)", re.DOTALL)
_DOLLAR = re.compile(r"((?:[^\\$]|\\.?)*)(\$|\Z)", re.DOTALL)


def split(text: str, separator: re.Pattern[str]) -> list[str]:
    parts, end = [], 0
    while True:
        match = separator.match(text, end)
        if match is None:
            raise bad_value(f"'{text}' cannot be split into search values.")
        parts.append(match.group(1))
        if not match.group(2):
            return parts
        end = match.end()


def alternatives(text: str) -> list[str]:
    """The values of an OR list, still escaped."""
    return split(text, _COMMA) if "\\" in text else text.split(",")


def parts(text: str) -> list[str]:
    """The parts between unescaped bars, unescaped."""
    return [unescape(part) for part in split(text, _PIPE)] if "\\" in text else text.split("|")


def components(text: str) -> list[str]:
    """The values of a composite, still escaped. https://hl7.org/fhir/R4/search.html#combining"""
    return split(text, _DOLLAR) if "\\" in text else text.split("$")


def unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def escape(text: str) -> str:
    """One value as it stands in a query, whatever is in it."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def prefixed(text: str) -> tuple[str, str]:
    """The prefix, `eq` where there is none, and the rest."""
    return (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)
