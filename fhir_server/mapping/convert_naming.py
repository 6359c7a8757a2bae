"""What people, files, machines and sessions are called.  https://hl7.org/fhir/R4/datatypes.html#HumanName"""

from __future__ import annotations

import hmac
import re
from typing import Any

from fhir_server.mapping.context import Context
from fhir_server.mapping.converter import ANY, TEXT, Converter
from fhir_server.mapping.fault import Fault

CREDENTIALS = frozenset(
    ("md", "do", "dpm", "dds", "dmd", "od", "np", "pa", "pac", "fnp", "aprn", "rn", "phd", "psyd", "facs", "dpt")
)
TITLES = frozenset(("dr", "prof", "mr", "mrs", "ms"))
MIME = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*\Z")


def clinician(value: str) -> dict[str, Any]:
    """A whole name with titles and credentials around it: `Dr. Ana María Díaz, MD`."""
    words = value.partition(",")[0].split()
    while len(words) > 1 and _bare(words[-1]) in CREDENTIALS:
        words.pop()
    while len(words) > 1 and _bare(words[0]) in TITLES:
        words.pop(0)
    found: dict[str, Any] = {"text": value}
    if words:
        found["family"] = words[-1]
    return {**found, "given": words[:-1]} if words[1:] else found


def _bare(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.casefold())


def mime(value: str) -> str:
    """A media type without its parameters.  RFC 6838 §4.2"""
    found = value.partition(";")[0].strip().casefold()
    if MIME.match(found):
        return found
    raise Fault("TYPE_INVALID", "The value is no media type.")


def host(value: str) -> str:
    """A network address without the length of its prefix: databases write 10.0.0.1/32."""
    return value.partition("/")[0]


def hashed(value: str, context: Context) -> str:
    """A keyed hash of a word that must not be seen, the same for the same word of a tenant.  RFC 2104"""
    return hmac.digest(context.ids.namespace, value.encode(), "sha256").hex()


def owner(_: Any, context: Context) -> str | None:
    """The tenant of the source whose rows are read, for rows that belong to every tenant that points to them."""
    return context.owner


CONVERTERS = {
    "clinician": Converter(clinician, TEXT, "HumanName"),
    "mime": Converter(mime, TEXT, "code", fails=True),
    "host": Converter(host, TEXT, "string"),
    "hashed": Converter(hashed, TEXT, "string", context=True),
    "owner": Converter(owner, ANY, "text", context=True),
}
