"""The one XML parser: expat, which opens nothing, and stops at what FHIR does not allow.  https://hl7.org/fhir/R4/xml.html"""

from __future__ import annotations

from typing import Any, NoReturn
from xml.parsers import expat

from fhir_server.fhir.outcome import FhirError, error
from fhir_server.fhir.xml import values

MAX_ELEMENTS_DEEP = 256
"""Narrative included, whose depth JSON does not show."""
UTF_16 = (b"\xfe\xff", b"\xff\xfe")
"""Its byte order marks, which would outweigh any encoding that the parser is told."""


def hardened() -> expat.XMLParserType:
    """Without handlers for what is in the document. Names come with their namespace and a space in front."""
    parser = expat.ParserCreate("UTF-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.XmlDeclHandler = _declaration
    parser.StartDoctypeDeclHandler = _doctype
    parser.ProcessingInstructionHandler = _instruction
    return parser


def parse(parser: expat.XMLParserType, raw: bytes) -> None:
    if not raw.strip():
        raise error("structure", "The body is empty; an XML document is needed.")
    if raw.startswith(UTF_16) or b"\x00" in raw[:4]:
        raise error("structure", "The body must be UTF-8.")
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as problem:
        raise error("structure", f"The body is not well-formed XML: {problem}.") from None


def too_deep(limit: int) -> FhirError:
    return error("structure", f"The XML is nested more than {limit} levels deep.")


def _declaration(_: str, encoding: str | None, __: int) -> None:
    if encoding is not None and encoding.upper() != "UTF-8":
        raise error("structure", f"The XML says that its encoding is {values.seen(encoding)}; it must be UTF-8.")


def _doctype(*_: Any) -> NoReturn:
    raise error("structure", "The XML has a DOCTYPE, which FHIR does not allow.")


def _instruction(target: str, _: str) -> NoReturn:
    raise error("structure", f"The XML has the processing instruction '{values.seen(target)}', which is not taken.")
