"""Roles of people, and what a role, a client and a scope allow together.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-fhir-resources
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from importlib.resources import files
from itertools import product
from operator import or_
from types import MappingProxyType
from typing import Any, Literal

import yaml

from fhir_server.access.clearance import Clearance
from fhir_server.access.right import Right
from fhir_server.access.scopes import ANY, Scope, Scopes

EVERY = "every"
"""The group of all types."""

SYSTEM = Scopes((Scope("system", ANY, frozenset(Right)),))
"""What stands in the place of roles where no person is behind a token: a backend service."""

_WITHIN = {"patient": ("patient", "user"), "user": ("user",), "system": ("system",)}
"""The contexts that hold a context: what is of one patient is within what a person may see. `system/` is apart."""


@dataclass(frozen=True, slots=True)
class Role:
    """Rights in the context of a user; `own` ones only on the patients that the person may act for."""

    name: str
    title: str
    of: Literal["all", "own"]
    scopes: tuple[Scope, ...]
    clearance: Clearance
    administers: frozenset[str]
    """Types in which consents hide nothing from who has to keep them."""

    def permits(self, resource_type: str, right: Right) -> bool:
        return any(scope.permits(resource_type, right) for scope in self.scopes)


@cache
def known() -> Mapping[str, Role]:
    """Every role by name."""
    listed = table()
    return MappingProxyType({name: _role(name, row, listed["types"]) for name, row in listed["roles"].items()})


def of_legacy(system: str, name: str) -> str | None:
    """The role here of one in a legacy system; None where it is to give nothing."""
    found: str | None = table()["legacy"].get(system, {}).get(name)
    return found


def scopes_of(names: Iterable[str]) -> Scopes:
    """All that people with these roles may do; a role that is not known adds nothing."""
    found = (scope for name in names if (role := known().get(name)) for scope in role.scopes)
    return Scopes(tuple(_tidied(found)))


def clearance_of(names: Iterable[str]) -> Clearance:
    """For what labels the roles clear a person, together."""
    found = (role.clearance for name in names if (role := known().get(name)))
    return reduce(or_, found, Clearance())


def administered(names: Iterable[str]) -> frozenset[str]:
    """Types in which consents hide nothing from people with these roles."""
    return frozenset().union(*(role.administers for name in names if (role := known().get(name))))


def reach_own(names: Iterable[str]) -> bool:
    """Whether one of these roles is about the patients that a person may act for."""
    return any(role.of == "own" for name in names if (role := known().get(name)))


def narrowed(asked: Scopes, registered: Scopes, role: Scopes) -> Scopes:
    """What was asked for, as far as the client is registered for it and the role allows it: never more than any.

    https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html: a server may grant a narrower scope
    """
    limits = [limit for pair in product(registered.resources, role.resources) if (limit := _limit(*pair))]
    found = (scope for each in asked.resources for scope in _within(each, limits))
    plain = tuple(word for word in asked.plain if word in registered.plain)
    return Scopes(tuple(dict.fromkeys(found)), plain)


def _within(asked: Scope, limits: Iterable[Scope]) -> Iterator[Scope]:
    return _tidied(found for limit in limits if (found := _common(asked, limit)))


def _limit(registered: Scope, role: Scope) -> Scope | None:
    """What client and role allow together, in the narrower of their contexts."""
    return _common(registered, role) or _common(role, registered)


def _common(asked: Scope, limit: Scope) -> Scope | None:
    """What both allow, in the context that was asked for; None where that is nothing."""
    rights = asked.rights & limit.rights
    if limit.context not in _WITHIN[asked.context] or not rights:
        return None
    if ANY not in (asked.resource_type, limit.resource_type) and asked.resource_type != limit.resource_type:
        return None
    resource_type = limit.resource_type if asked.resource_type == ANY else asked.resource_type
    return Scope(asked.context, resource_type, rights, _both(asked.criteria, limit.criteria))


def _both(one: str, other: str) -> str:
    """Criteria that hold together, each once. https://hl7.org/fhir/R4/search.html#combining"""
    return "&".join(dict.fromkeys(each for criteria in (one, other) for each in criteria.split("&") if each))


def _tidied(scopes: Iterable[Scope]) -> Iterator[Scope]:
    """Rights on the same resources together, and without what a wider scope says already."""
    together: dict[tuple[str, str, str], frozenset[Right]] = {}
    for each in scopes:
        about = (each.context, each.resource_type, each.criteria)
        together[about] = together.get(about, frozenset()) | each.rights
    for (context, resource_type, criteria), rights in together.items():
        wider = together.get((context, ANY, ""), frozenset()) if resource_type != ANY else frozenset()
        if criteria:
            wider |= together.get((context, resource_type, ""), frozenset())
        if rights - wider:
            yield Scope(context, resource_type, rights - wider, criteria)


def _role(name: str, row: Mapping[str, Any], types: Mapping[str, list[str]]) -> Role:
    found = (
        Scope("user", each, frozenset(map(Right, letters)))
        for group, letters in row["may"].items()
        for each in ([ANY] if group == EVERY else types[group])
    )
    clearance = Clearance.parse(row.get("cleared", ()))
    return Role(name, row["title"], row["of"], tuple(_tidied(found)), clearance, frozenset(row.get("keeps", ())))


@cache
def table() -> Mapping[str, Any]:
    """Groups of types, roles, and those of legacy systems, as they are written down."""
    text = files("fhir_server.access").joinpath("roles.yaml").read_text(encoding="utf-8")
    listed: Mapping[str, Any] = yaml.safe_load(text)
    return listed
