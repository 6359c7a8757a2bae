"""Who approves that records are destroyed: two different people, each of whom may sign in to the tenant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fhir_server.fhir.outcome import bad_value
from fhir_server.store.users import User, Users

PEOPLE: Final = 2


async def approvers(users: Users, tenant: str, names: Iterable[str]) -> list[User]:
    """By their user names, which whoever runs the command gives; 400 where they are not two."""
    found: dict[str, User] = {}
    for name in names:
        user = await users.get(tenant, name)
        if user is None or user.disabled:
            raise bad_value(f"'{name}' cannot approve: nobody of this name may sign in to '{tenant}'.")
        found[user.user_id] = user
    if len(found) < PEOPLE:
        raise bad_value("Two different people have to approve: give --approved-by for each of them.")
    return list(found.values())
