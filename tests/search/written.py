"""The text of a search value, read a second time: marks, escapes, and what counts of a string."""

from __future__ import annotations

import re
import unicodedata


def split(text: str, mark: str) -> list[str]:
    """At the marks that no backslash stands before; the parts keep their backslashes."""
    parts, escaped = [""], False
    for each in text:
        if each == mark and not escaped:
            parts.append("")
        else:
            parts[-1] += each
        escaped = each == "\\" and not escaped
    return parts


def meant(text: str) -> str:
    """Without the backslashes that escape. https://hl7.org/fhir/R4/search.html#escaping"""
    return re.sub(r"\\([\\,|$])", r"\1", text)


def plain(text: str) -> str:
    """As strings are compared: without case, accents and punctuation. https://hl7.org/fhir/R4/search.html#string"""
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    text = re.sub(r"[-/\\_]", " ", text)
    return " ".join("".join(c for c in text if c.isalnum() or c.isspace() or ord(c) > 127).split())


def accentless(text: str) -> str:
    """Without accents and case."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
