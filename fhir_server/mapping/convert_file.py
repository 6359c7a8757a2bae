"""Files that rows point to: what kind they are.  RFC 6838"""

from __future__ import annotations

import mimetypes
import re

from fhir_server.mapping.converter import TEXT, Converter
from fhir_server.mapping.fault import Fault

MIME = re.compile(r"[a-z0-9][\w!#$&^.+-]*/[a-z0-9][\w!#$&^.+-]*\Z", re.ASCII)
ANYTHING = "application/octet-stream"


def media_type(value: str) -> str:
    """A MIME type, or the one that a file extension stands for."""
    written = value.partition(";")[0].strip().casefold()
    if MIME.match(written):
        return written
    found, _ = mimetypes.guess_type(f"file.{written.lstrip('.')}", strict=True)
    if found is None:
        raise Fault("TYPE_INVALID", "The value is no kind of file.", kept=ANYTHING)
    return found


CONVERTERS = {"media_type": Converter(media_type, TEXT, "code", fails=True, repeats=True)}
