"""Columns that the source keeps encrypted: read in memory, never logged, never copied elsewhere."""

from __future__ import annotations

from typing import Any

from fhir_server.mapping.ciphers import Unopened
from fhir_server.mapping.context import Context
from fhir_server.mapping.converter import Converter
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.text import text


def decrypt(value: Any, key_class: str, context: Context) -> str | None:
    """The clear text of a sealed value under the source's key of a class."""
    if key_class not in context.keys:
        raise Fault("DECRYPT_FAILED", f"There is no key of the class '{key_class}'.")
    try:
        return text(context.keys[key_class](value).decode())
    except (Unopened, UnicodeDecodeError) as fault:
        raise Fault("DECRYPT_FAILED", f"The key of the class '{key_class}' does not open the value.") from fault


CONVERTERS = {
    "decrypt": Converter(decrypt, frozenset({"text", "blob"}), "text", ("word",), fails=True, context=True),
}
