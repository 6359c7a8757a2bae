"""What a link in a submitted resource points to: the Bundle it came in, this server, or elsewhere.
https://hl7.org/fhir/R4/bundle.html#references https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_server.fhir.outcome import FhirError, Issue
from fhir_server.fhir.resource import LOCAL_REFERENCE

_RESTFUL = re.compile(r"(.+/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}\Z")
_VERSIONED = re.compile(r"(.+)/_history/[A-Za-z0-9\-.]{1,64}\Z")
_CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?.")
_PLACEHOLDERS = ("urn:uuid:", "urn:oid:")


@dataclass(frozen=True, slots=True)
class Target:
    """A resource of the Bundle under the id it has on this server; `created` where the id is new."""

    resource_type: str
    resource_id: str
    created: bool = False

    @property
    def reference(self) -> str:
        return f"{self.resource_type}/{self.resource_id}"


class Unresolved(Exception):
    """A link that cannot stay as it is: `text` as it was written, and why."""

    def __init__(self, text: str, code: str, diagnostics: str) -> None:
        super().__init__(diagnostics)
        self.text = text
        self.code = code

    def refusal(self, expression: str) -> FhirError:
        return FhirError([Issue(self.code, str(self), (expression,))], status=422)


@dataclass(slots=True)
class Links:
    """The links of one resource; `known` are the entries of its Bundle, and conditional references already found."""

    base: str
    known: Mapping[str, Target]
    full_url: str | None = None
    bundled: bool = False
    """Whether the resource came in a transaction, the only place of conditional references."""
    strict: bool = True
    """Whether a placeholder that no entry has is refused."""
    local: dict[tuple[str, str], str] = field(default_factory=dict)
    """Resources of this server that are pointed to, each with the text that does."""
    conditional: list[str] = field(default_factory=list)
    """Conditional references that are not in `known` yet."""

    def reference(self, text: str, targets: tuple[str, ...]) -> str:
        """A literal reference as it is stored. https://hl7.org/fhir/R4/references.html#literal"""
        if text in self.known:
            return _allowed(self.known[text], text, targets).reference
        local = LOCAL_REFERENCE.match(text)
        if local is not None:
            return self._relative(text, local, targets)
        return text if text.startswith("#") else self._absolute(text, targets)

    def link(self, text: str) -> str:
        """A uri, url, oid, uuid or hyperlink: replaced where it is an entry of the Bundle, up to a fragment."""
        if text in self.known:
            return self.known[text].reference
        whole, sharp, fragment = text.partition("#")
        return f"{self.known[whole].reference}#{fragment}" if sharp and whole in self.known else text

    def _relative(self, text: str, local: re.Match[str], targets: tuple[str, ...]) -> str:
        """Of an entry with a RESTful fullUrl on the same root, else of this server."""
        root = _RESTFUL.match(self.full_url) if self.full_url and self.known else None
        whole = f"{root[1]}{local[1]}/{local[2]}" if root else ""
        if whole in self.known:
            return self._version_of(_allowed(self.known[whole], text, targets), local[3])
        self.local.setdefault((local[1], local[2]), text)
        return text

    def _version_of(self, target: Target, version_id: str | None) -> str:
        """Version-specific references remain so; what is created here has only its first version."""
        if version_id is None:
            return target.reference
        return f"{target.reference}/_history/{'1' if target.created else version_id}"

    def _absolute(self, text: str, targets: tuple[str, ...]) -> str:
        versioned = _VERSIONED.match(text)
        if versioned and versioned[1] in self.known:
            target = _allowed(self.known[versioned[1]], text, targets)
            return self._version_of(target, text.rpartition("/")[2])
        if text.startswith(f"{self.base}/"):
            return self.reference(text.removeprefix(f"{self.base}/"), targets)
        if _CONDITIONAL.match(text):
            return self._condition(text)
        self._refuse_dangling(text)
        return text

    def _condition(self, text: str) -> str:
        if not self.bundled:
            raise Unresolved(
                text, "value", f"The reference '{text}' is conditional; only a transaction can have those."
            )
        self.conditional.append(text)
        return text

    def _refuse_dangling(self, text: str) -> None:
        """What only this Bundle or this server could resolve, and neither does; another server's URL is its own."""
        if self.strict and text.startswith(_PLACEHOLDERS):
            raise Unresolved(text, "not-found", f"The reference '{text}' is to no entry of the same transaction.")
        if text.startswith(self.base.rpartition("/")[0] + "/"):
            raise Unresolved(text, "not-found", f"The reference '{text}' points to nothing that exists here.")


def _allowed(target: Target, text: str, targets: tuple[str, ...]) -> Target:
    if targets and target.resource_type not in targets:
        raise Unresolved(text, "value", f"'{text}' is a {target.resource_type}; here it can be {', '.join(targets)}.")
    return target
