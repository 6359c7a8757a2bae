"""Faults put into the one place where filters on resources are made, each of which the tables must notice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from fhir_server.access import concealment
from fhir_server.access import restriction as restriction_module
from fhir_server.access.caller import Caller
from fhir_server.access.restriction import UNRESTRICTED, Restriction, restriction
from fhir_server.interactions import table
from fhir_server.interactions.operations import table as operations
from fhir_server.rest.address import Address
from fhir_server.rest.admission import Admission
from fhir_server.rest.headers import Headers
from fhir_server.store import repository, view, where
from fhir_server.store.joins import Joins
from fhir_server.store.matches import Matches
from fhir_server.store.standing import Standing
from fhir_server.store.tenants import Tenant
from fhir_server.store.where import Where

Filter = dict[str, Any]
Mutant = Callable[[pytest.MonkeyPatch], None]

FILTERS = ("instance", "superseded", "instances", "living", "keyed", "versions")
"""What `Where` makes; a test sees to it that there is nothing else."""


def without_tenant(*names: str) -> Mutant:
    """These filters find what they should, but of every tenant."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        for name in names:
            made = getattr(Where, name)
            patch.setattr(Where, name, lambda *args, made=made, **more: _of_any_tenant(made(*args, **more)))

    return mutate


def without_compartment(patch: pytest.MonkeyPatch) -> None:
    """The scopes still say which types a caller may see, but no longer whose resources."""

    def unrestricted(*asked: Any) -> Restriction:
        restriction(*asked)
        return UNRESTRICTED

    patch.setattr(where, "restriction", unrestricted)


def without_rights(patch: pytest.MonkeyPatch) -> None:
    """Every scope gives every right on everything."""
    for module in (where, table, operations):
        patch.setattr(module, "restriction", lambda *_: UNRESTRICTED)


def without_hiding(patch: pytest.MonkeyPatch) -> None:
    """Neither labels nor consents decide."""
    for module in (where, concealment):
        for name in ("concealed", "shared", "special"):
            patch.setattr(module, name, lambda *_: {}, raising=False)
    patch.setattr(restriction_module, "concealed", lambda *_: {})


def without_narrowness(patch: pytest.MonkeyPatch) -> None:
    """The search criteria of scopes are ignored."""
    _rule(patch, "compiled", lambda *_: {})


def without_roles(patch: pytest.MonkeyPatch) -> None:
    """Whoever is asking, only the scopes decide."""
    _rule(patch, "_reach", lambda *_: [{}])


def _rule(patch: pytest.MonkeyPatch, name: str, replacement: Any) -> None:
    """Changes the rule, and does not remember what it says meanwhile."""
    patch.setattr(restriction_module, "_restriction", restriction_module._restriction.__wrapped__)
    patch.setattr(restriction_module, name, replacement)


def without_criteria(patch: pytest.MonkeyPatch) -> None:
    """Conditions on other resources are asked as if the server itself asked."""

    def asked_by_the_server(matches: Matches) -> Joins:
        server = Caller.system(matches.where.tenant, "mutant")
        anyone = replace(matches.where, caller=server)
        return Joins(Matches(matches.database, anyone, matches.session))

    patch.setattr(view, "Joins", asked_by_the_server)


def without_state_after(patch: pytest.MonkeyPatch) -> None:
    """What a write leaves behind is not looked at."""
    patch.setattr(repository.Repository, "_permitted", lambda *_: None)


def without_standing(patch: pytest.MonkeyPatch) -> None:
    """A patient lives as long as a token."""

    async def lives(*_: Any) -> bool:
        return True

    patch.setattr(Standing, "_lives", lives)


def without_door(patch: pytest.MonkeyPatch) -> None:
    """A good token opens every tenant."""

    async def admit(self: Admission, method: str, address: Address, headers: Headers) -> tuple[Tenant, Caller]:
        assert self._tokens is not None
        return await self._active(address.tenant), await self._authenticated(self._tokens, headers)

    patch.setattr(Admission, "admit", admit)


def without_deleted_flag(patch: pytest.MonkeyPatch) -> None:
    """Searches find deletions as well."""
    made = Where.living

    def living(*args: Any, **more: Any) -> Filter:
        return {name: value for name, value in made(*args, **more).items() if name != "del"}

    patch.setattr(Where, "living", living)


def _of_any_tenant(found: Any) -> Any:
    if isinstance(found, list):
        return [_of_any_tenant(each) for each in found]
    if not isinstance(found, dict):
        return found
    kept = {name: _of_any_tenant(value) for name, value in found.items() if name not in ("t", "_id")}
    return {**kept, "_id": _any_key(found["_id"])} if "_id" in found else kept


def _any_key(wanted: Any) -> Filter:
    """Keys are `tenant|type|id` and `tenant|type|id|version`."""
    if isinstance(wanted, dict) and "$gte" in wanted:
        return {"$regex": rf"^[^|]*\|{re.escape(wanted['$gte'].split('|')[1])}\|"}
    keys: Iterable[str] = wanted["$in"] if isinstance(wanted, dict) else [wanted]
    return {"$in": [re.compile(rf"^[^|]*\|{re.escape(each.partition('|')[2])}$") for each in keys]}


MUTANTS: dict[str, Mutant] = {
    "no tenant anywhere": without_tenant(*FILTERS),
    **{f"no tenant in {name}": without_tenant(name) for name in FILTERS},
    "no tenant at the door": without_door,
    "no compartment": without_compartment,
    "no rights": without_rights,
    "no labels and no consents": without_hiding,
    "no criteria of scopes": without_narrowness,
    "no check of criteria": without_criteria,
    "no check of the state after": without_state_after,
    "no check of the patient": without_standing,
    "no deleted flag": without_deleted_flag,
}
