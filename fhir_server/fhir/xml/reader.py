"""XML as a client sends it, read into the resource that JSON would have been; every fault is named at once.

What is no XML that FHIR allows ends the reading: a DTD, entities, instructions, more depth than JSON may have.
https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.narrative import NAMESPACE
from fhir_server.fhir.outcome import FhirError, Issue
from fhir_server.fhir.primitives import EXAMPLES
from fhir_server.fhir.resource import Resource
from fhir_server.fhir.xml import values
from fhir_server.fhir.xml.frame import Frame
from fhir_server.fhir.xml.parser import MAX_ELEMENTS_DEEP, hardened, too_deep
from fhir_server.fhir.xml.parser import parse as read
from fhir_server.fhir.xml.shape import FHIR, XHTML, Child
from fhir_server.fhir.xml.xhtml import DIV, Div

MAX_ISSUES = 100
SCHEMA_LOCATION = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"
"""A hint for validators, which stands in many files. Nothing is fetched from there."""
VALUE = "value"


def parse(raw: bytes, *, max_depth: int = 64) -> Resource:
    """What a client sent, as a resource; FhirError where it is not one XML document of a resource."""
    return _Reading(raw, max_depth).resource()


class _Reading:
    """One document: the open elements, and the faults so far."""

    def __init__(self, raw: bytes, max_depth: int):
        self._raw = raw
        self._max_depth = max_depth
        self._open: list[Frame] = []
        self._done: Resource = {}
        self._issues: list[Issue] = []
        self._depth = 0
        self._skipped = 0
        """How many elements are open within one that is not known."""
        self._div: Div | None = None
        self._declares_xhtml = False
        self._parser = parser = hardened()
        parser.StartNamespaceDeclHandler = self._namespace
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text

    def resource(self) -> Resource:
        read(self._parser, self._raw)
        if self._issues:
            raise FhirError(self._issues)
        return self._done

    def _fault(self, code: str, diagnostics: str, name: str = "") -> None:
        """A fault of the innermost element, or of a child of it."""
        if self._open:
            self._open[-1].is_flawed = True
        path = "".join(each.step for each in self._open)
        place = f"{path}.{name}" if path and name.isidentifier() else path or name
        self._issues.append(Issue(code, diagnostics, (place,) if place else ()))
        if len(self._issues) >= MAX_ISSUES:
            raise FhirError(self._issues)

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        self._declares_xhtml |= prefix is None and uri == NAMESPACE

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        stands_alone, self._declares_xhtml = self._declares_xhtml, False
        self._depth += 1
        if self._depth > MAX_ELEMENTS_DEEP:
            raise too_deep(MAX_ELEMENTS_DEEP)
        if self._skipped:
            self._skipped += 1
        elif self._div is not None:
            self._div.open(name, attributes)
        elif name == f"{NAMESPACE} {DIV}" and (child := self._narrative()):
            self._check_place(child)
            self._div = Div(self._parser.CurrentByteIndex, stands_alone=stands_alone)
            self._div.open(name, attributes)
        elif not self._enters(name, attributes):
            self._skipped = 1

    def _narrative(self) -> Child | None:
        """The child of the innermost element that is narrative."""
        child = self._open[-1].children.get(DIV) if self._open else None
        return child if child and child.type_name == XHTML else None

    def _enters(self, name: str, attributes: dict[str, str]) -> bool:
        """Whether the element is one that the definitions have here; it is open then."""
        namespace, _, local = name.rpartition(" ")
        if namespace != FHIR:
            shown = values.seen(local)
            found = f"the namespace '{values.seen(namespace)}'" if namespace else "no namespace"
            expected = NAMESPACE if local == DIV else FHIR
            self._fault("structure", f"The element <{shown}> has {found}; it must have {expected}.", local)
        elif not self._open or self._open[-1].is_wrapper:
            return self._enters_resource(local, attributes)
        elif (child := self._open[-1].children.get(local)) is None or child.is_attribute:
            self._fault("structure", f"{self._open[-1].path} has no element '{values.seen(local)}'.", local)
        elif child.type_name == XHTML:
            self._fault("structure", f"<{DIV}> must have the namespace {NAMESPACE}.", local)
        else:
            self._check_place(child)
            self._enter(Frame.of(child, self._open[-1]), attributes)
            return True
        return False

    def _enters_resource(self, name: str, attributes: dict[str, str]) -> bool:
        if name not in resource_types():
            self._fault("not-supported", f"'{values.seen(name)}' is not a resource type of R4.")
            return False
        outer = self._open[-1] if self._open else None
        if outer is not None and outer.content:
            self._fault("structure", f"There may be one resource in here only, but there is also a {name}.")
            return False
        attributes = {key: each for key, each in attributes.items() if key != SCHEMA_LOCATION}
        self._enter(Frame.of_resource(name, outer), attributes)
        return True

    def _check_place(self, child: Child) -> None:
        """Elements come in the order of the definition. https://hl7.org/fhir/R4/xml.html"""
        frame = self._open[-1]
        if child.order < frame.last:
            self._fault("structure", f"'{child.name}' comes too late: XML has the order of the definition.", child.name)
        elif not child.many and frame.has(child):
            self._fault("structure", f"'{child.name}' may stand here once only.", child.name)
        frame.last = max(frame.last, child.order)

    def _enter(self, frame: Frame, attributes: dict[str, str]) -> None:
        self._open.append(frame)
        if frame.depth > self._max_depth:
            raise too_deep(self._max_depth)
        for name, text in attributes.items():
            known = frame.children.get(name)
            if name == VALUE and frame.is_primitive:
                frame.value = self._value(frame.type_name, text)
            elif known is not None and known.is_attribute:
                frame.content[name] = text
            else:
                self._fault(
                    "structure", f"{frame.path or 'This element'} has no attribute '{values.seen(name)}'.", name
                )

    def _value(self, type_name: str, text: str) -> Any:
        try:
            value = values.read(type_name, text)
        except FhirError as problem:
            self._fault("value", problem.issues[0].diagnostics)
            return text
        if value is None:
            expected = EXAMPLES[type_name].removesuffix(", without quotes")
            self._fault("value", f"'{values.seen(text)}' is not a valid {type_name}; it must be {expected}.")
            return text
        return value

    def _text(self, text: str) -> None:
        if self._div is not None:
            self._div.text(text)
        elif not self._skipped and not text.isspace():
            self._fault("structure", f"There is text, '{values.seen(text.strip())}'; a value is an attribute in FHIR.")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._skipped:
            self._skipped -= 1
        elif self._div is not None:
            self._div.close(name)
            if not self._div.depth:
                self._open[-1].content[DIV] = self._div.whole(self._raw, self._parser.CurrentByteIndex)
                self._div = None
        else:
            self._leave()

    def _leave(self) -> None:
        frame = self._open[-1]
        if frame.is_void and not frame.is_flawed:
            wanted = "a resource in it" if frame.is_wrapper else "a value or children"
            self._fault("structure", f"The element is empty; it must have {wanted}.")
        self._open.pop()
        frame.complete()
        if self._open:
            frame.join(self._open[-1])
        else:
            self._done = frame.content
