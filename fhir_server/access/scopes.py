"""Scopes for FHIR resources, version 2 and version 1 forms.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fhir_server.access.criteria import InvalidCriteria, compiled
from fhir_server.access.right import Right
from fhir_server.fhir import definitions

ANY = "*"
CONTEXTS = ("patient", "user", "system")
PLAIN = frozenset(
    {"openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "online_access", "offline_access"}
)
"""Scopes that are not about resources: they ask for a login, a launch context or a refresh token."""

_ORDER = "".join(Right)
VERSION_1 = {"read": "rs", "write": "cud", "*": _ORDER}
"""What the scopes of version 1 mean in version 2."""

_FORM = re.compile(
    r"(?P<context>[a-z]+)/(?P<type>[A-Za-z]+|\*)\.(?P<rights>[a-z]+|\*)(?:\?(?P<criteria>[!#-\[\]-~]+))?\Z"
)


class InvalidScope(ValueError):
    """A scope that cannot be granted as it is written; the message says why."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Rights on one resource type, or on every type, in one context; perhaps only for what matches search criteria."""

    context: str
    resource_type: str
    rights: frozenset[Right]
    criteria: str = ""

    @classmethod
    def parse(cls, text: str) -> Scope:
        form = _FORM.match(text)
        if form is None:
            raise InvalidScope(f"'{text}' is not a scope; one looks like 'patient/Observation.rs'.")
        scope = cls(form["context"], form["type"], _rights(form["rights"], text), form["criteria"] or "")
        scope._check(text)
        return scope

    def __str__(self) -> str:
        rights = "".join(right for right in Right if right in self.rights)
        return f"{self.context}/{self.resource_type}.{rights}" + (f"?{self.criteria}" if self.criteria else "")

    def permits(self, resource_type: str, right: Right) -> bool:
        return right in self.rights and self.resource_type in (ANY, resource_type)

    def _check(self, text: str) -> None:
        if self.context not in CONTEXTS:
            raise InvalidScope(f"'{text}' starts with '{self.context}'; it must be one of {', '.join(CONTEXTS)}.")
        if self.resource_type != ANY and self.resource_type not in definitions.resource_types():
            raise InvalidScope(f"'{text}' names '{self.resource_type}', which is not an R4 resource type.")
        if self.criteria:
            self._check_criteria(text)

    def _check_criteria(self, text: str) -> None:
        if self.resource_type == ANY:
            raise InvalidScope(f"'{text}' has search criteria, which need one resource type instead of '*'.")
        try:
            compiled(self.resource_type, self.criteria)
        except InvalidCriteria as problem:
            raise InvalidScope(f"'{text}' cannot be granted: {problem}") from problem


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scopes of one request or token: those for resources, and the plain ones."""

    resources: tuple[Scope, ...] = ()
    plain: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Scopes:
        """Every scope of a space-separated list; the first invalid one is an `InvalidScope`. RFC 6749 §3.3"""
        words = tuple(dict.fromkeys(text.split()))
        plain = tuple(word for word in words if word in PLAIN)
        return cls(tuple(Scope.parse(word) for word in words if word not in PLAIN), plain)

    @classmethod
    def granted(cls, text: str) -> Scopes:
        """As `parse`, for a token already issued: what is not understood grants nothing."""
        resources = (_understood(word) for word in dict.fromkeys(text.split()) if word not in PLAIN)
        plain = tuple(word for word in text.split() if word in PLAIN)
        return cls(tuple(scope for scope in resources if scope is not None), plain)

    def __str__(self) -> str:
        return " ".join((*self.plain, *map(str, self.resources)))


def _rights(letters: str, text: str) -> frozenset[Right]:
    letters = VERSION_1.get(letters, letters)
    if letters != "".join(letter for letter in _ORDER if letter in letters):
        raise InvalidScope(
            f"'{text}' asks for '{letters}'; rights are letters of '{_ORDER}', each once and in this order."
        )
    return frozenset(map(Right, letters))


def _understood(text: str) -> Scope | None:
    try:
        return Scope.parse(text)
    except InvalidScope:
        return None
