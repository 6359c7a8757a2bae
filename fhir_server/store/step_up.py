"""Proofs of who somebody is, made for one act: a signature, or breaking the glass.  21 CFR 11.200(a)(1)

Who has stepped up gets a word, good once, for a few minutes, for one purpose and in the session it was given in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from fhir_server.access.caller import Caller
from fhir_server.fhir.outcome import FhirError, forbidden
from fhir_server.store.handles import Handles
from fhir_server.store.users import User, Users, moment

Purpose = Literal["sign", "break-glass"]
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)

LIFETIME = timedelta(minutes=5)
IDLE = timedelta(minutes=10)
"""A series of signings goes on for as long as there is no longer pause between two. 21 CFR 11.200(a)(1)(i)"""

NO_PERSON = "This needs the token of a person who has signed in: whoever acts here is named in the record."
UNFIT = (
    "The word of the step-up is not good: it is used once, within {} minutes, for the purpose '{}', in the session in "
    "which it was given. Step up again."
)


@dataclass(frozen=True, slots=True)
class Proven:
    """Who has stepped up, and how."""

    user: User
    session: str
    methods: tuple[str, ...]
    """What was shown. RFC 8176"""
    at: datetime


class StepUps:
    """The words of all tenants of a store."""

    def __init__(self, handles: Handles, users: Users) -> None:
        self._handles = handles
        self._users = users

    async def new(self, user: User, session: str, purpose: Purpose, methods: tuple[str, ...]) -> str:
        """The word for who has just shown so much."""
        said = {"user": user.user_id, "session": session, "purpose": purpose, "methods": list(methods), "at": moment()}
        return await self._handles.new(user.tenant, "step-up", said, LIFETIME)

    async def signing(self, tenant: str, user_id: str, session: str) -> bool:
        """Whether this person is in a series of signings: then one factor is enough. 21 CFR 11.200(a)(1)(i)"""
        return await self._handles.read(tenant, "signing", _series(user_id, session)) is not None

    async def redeem(self, caller: Caller, word: str, purpose: Purpose) -> Proven:
        """Who has stepped up for this; 403 for a word that is anybody else's, of another session, or used."""
        session = caller.session
        if session is None or caller.roles is None:
            raise forbidden(NO_PERSON)
        wanted = {"user": caller.subject, "session": session, "purpose": purpose}
        found = await self._handles.read(caller.tenant, "step-up", word)
        if found is None or {name: found[name] for name in wanted} != wanted:
            raise _unfit(purpose)
        user = await self._users.by_id(caller.tenant, caller.subject)
        taken = await self._handles.take(caller.tenant, "step-up", word)
        if user is None or user.disabled or taken is None or not taken.first:
            raise _unfit(purpose)
        if purpose == "sign":
            await self._handles.keep(caller.tenant, "signing", _series(user.user_id, session), {}, IDLE)
        return Proven(user, session, tuple(found["methods"]), found["at"])


def _series(user_id: str, session: str) -> str:
    return f"{user_id}|{session}"


def _unfit(purpose: Purpose) -> FhirError:
    return forbidden(UNFIT.format(int(LIFETIME.total_seconds()) // 60, purpose))
