"""Telephone numbers, addresses of mail and web.  https://hl7.org/fhir/R4/datatypes.html#ContactPoint"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.mapping.converter import TEXT, Converter, Words
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.text import folded, is_nothing

Contact = dict[str, Any]
MAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]+\Z")
WEB = re.compile(r"(https?://)?[^\s/]+\.[^\s]+\Z")
TYPED = re.compile(r"[\s().\-]")
TYPED_ASCII = b" \t\n\r\f\v\x1c\x1d\x1e\x1f().-"
ONE = ord("1")
NORTH_AMERICAN = re.compile(r"1?([2-9]\d{2}[2-9]\d{6})\Z")
INTERNATIONAL = re.compile(r"\+[1-9]\d{6,14}\Z")


def phone(value: str, use: str) -> Contact | None:
    written = e164(value)
    return None if written is value and is_nothing(value) else {"system": "phone", "value": written, "use": use}


def fax(value: str, use: str) -> Contact | None:
    found = phone(value, use)
    return {**found, "system": "fax"} if found else None


def e164(value: str) -> str:
    """The number in international form when it parses, else as it was typed."""
    if value.isascii():
        typed = value.encode().translate(None, TYPED_ASCII)
        if len(typed) == 10 and typed.isdigit() and typed[0] > ONE < typed[3]:
            return f"+1{typed.decode()}"  # As most are written; what follows says the same, at twice the cost.
        bare = typed.decode()
    else:
        bare = TYPED.sub("", value)
    found = NORTH_AMERICAN.match(bare)
    if found:
        return f"+1{found[1]}"
    return bare if INTERNATIONAL.match(bare) else value


def email(value: str, use: str) -> Contact | None:
    if is_nothing(value):
        return None
    if not MAIL.match(value):
        raise Fault("TYPE_INVALID", "The value is not an e-mail address.")
    return {"system": "email", "value": value, "use": use}


def url(value: str, use: str) -> Contact | None:
    if is_nothing(value):
        return None
    if not WEB.match(value):
        raise Fault("TYPE_INVALID", "The value is not a web address.")
    return {"system": "url", "value": value, "use": use}


def preferred(value: Contact, method: Any, words: Words) -> Contact:
    """Ranks the contact first when it is the method that the person prefers."""
    return {**value, "rank": 1} if method is not None and folded(method) in words else value


def rank(value: Contact, place: int) -> Contact:
    """The contact with its place in the order of preference."""
    found = value.copy()
    found["rank"] = place
    return found


USE = ("word",)
CONVERTERS = {
    "phone": Converter(phone, TEXT, "ContactPoint", USE),
    "fax": Converter(fax, TEXT, "ContactPoint", USE),
    "email": Converter(email, TEXT, "ContactPoint", USE, fails=True),
    "url": Converter(url, TEXT, "ContactPoint", USE, fails=True),
    "preferred": Converter(preferred, frozenset({"ContactPoint"}), "ContactPoint", ("column", "value+")),
    "rank": Converter(rank, frozenset({"ContactPoint"}), "ContactPoint", ("count",)),
}
