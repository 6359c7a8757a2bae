"""People prove who they are, by a password and a second factor; both are chosen, changed and taken away here.

https://pages.nist.gov/800-63-4/sp800-63b.html
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from fhir_server.auth import lockout, totp
from fhir_server.auth.passwords import Passwords, fault
from fhir_server.store.attempts import Pauses
from fhir_server.store.connection import Store
from fhir_server.store.sessions import Session
from fhir_server.store.users import User, moment

LOGGER = logging.getLogger("fhir_server.people")

PASSWORD, CODE, RECOVERY = "pwd", "otp", "kba"
"""RFC 8176 §2; a recovery code is something known."""
FEDERATED, SEVERAL = "fed", "mfa"
"""An identity provider said who it is; more than one factor was shown, here or there."""


class NotProven(Exception):
    """Whoever it is, they did not prove it; `wait` says how long nothing more is looked at."""

    def __init__(self, wait: timedelta = timedelta()) -> None:
        super().__init__("not proven")
        self.wait = wait


class People:
    """Everything that changes what a person can sign in with."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.users = store.users
        self._sessions = store.sessions
        self._attempts = store.attempts
        self._revocations = store.revocations
        self._passwords = passwords
        self._clock = clock

    async def by_password(self, tenant: str, username: str, password: str, *, host: str, device: str | None) -> User:
        """The user; `NotProven` takes as long and says as little whether there is such a user or not."""
        user = await self.users.get(tenant, username)
        known = user is not None and device is not None and totp.digest(device) in user.devices
        whose = lockout.device(totp.digest(device or ""), username) if known else lockout.account(username)
        await self._charge(tenant, lockout.address(host), lockout.ADDRESS)
        await self._charge(tenant, whose, lockout.PASSWORD)
        usable = user is not None and not user.disabled
        if not await self._passwords.fits(user.password if user and usable else None, password) or user is None:
            _log("sign-in refused", tenant, user)
            raise NotProven
        await self._attempts.forgive(tenant, whose)
        await self._attempts.refund(tenant, lockout.address(host))
        return user

    async def again(self, user: User, password: str) -> None:
        """Whoever is signed in proves to be still the same before something is changed. NIST SP 800-63B-4 §3.1"""
        whose = lockout.device("session", user.username)
        await self._charge(user.tenant, whose, lockout.PASSWORD)
        if not await self._passwords.fits(user.password, password):
            _log("password refused", user.tenant, user)
            raise NotProven
        await self._attempts.forgive(user.tenant, whose)

    async def by_code(self, user: User, given: str) -> str:
        """The method that a code proves: one of the device or a recovery code, each good once."""
        await self._charge(user.tenant, lockout.second_factor(user.user_id), lockout.SECOND_FACTOR)
        method = await self._method(user, given)
        if method is None:
            _log("second factor refused", user.tenant, user)
            raise NotProven
        await self._attempts.forgive(user.tenant, lockout.second_factor(user.user_id))
        return method

    async def enrol(self, user: User, secret: bytes, given: str) -> list[str]:
        """The recovery codes of a device that has just shown that it makes the right codes."""
        step = totp.step_of(secret, _digits(given), self._clock())
        if step is None:
            raise NotProven
        codes = totp.recovery_codes()
        kept = await self.users.sealed(user, secret)
        await self._change(user, secret=kept, step=step, recovery=[totp.digest(each) for each in codes])
        return codes

    async def new_recovery_codes(self, user: User) -> list[str]:
        codes = totp.recovery_codes()
        await self.users.change(user.tenant, user.username, recovery=[totp.digest(each) for each in codes])
        _log("new recovery codes", user.tenant, user)
        return codes

    async def choose_password(self, user: User, password: str, *, second_factor: bool) -> str | None:
        """What is wrong with it; nothing, and everything that was signed in with the old one has ended."""
        wrong = fault(password, second_factor=second_factor, about=(user.username, user.name, user.tenant))
        if wrong is None and await self._passwords.fits(user.password, password):
            wrong = "It is the one you have now."
        if wrong is None:
            await self._change(user, password=await self._passwords.hashed(password), renew=False)
        return wrong

    async def give_password(self, user: User) -> str:
        """A password that is good for choosing one's own."""
        given = "-".join(secrets.token_hex(2) for _ in range(5))
        await self._change(user, password=await self._passwords.hashed(given), renew=True, devices=[])
        return given

    async def forget_second_factor(self, user: User) -> User:
        return await self._change(user, secret=None, step=-1, recovery=[], devices=[])

    async def disable(self, user: User) -> User:
        return await self._change(user, disabled=True, devices=[])

    async def enable(self, user: User) -> User:
        return await self._change(user, disabled=False)

    async def entitle(self, user: User, **changes: Any) -> User:
        """Changes the roles, the patients or the resource of a person."""
        return await self._change(user, **changes)

    async def sign_out(self, user: User) -> None:
        """Everywhere, with what applications may do only while the person is there."""
        for session_id in await self._sessions.end_all(user.tenant, user.user_id):
            await self._revocations.revoke(user.tenant, "session", session_id)
        _log("signed out", user.tenant, user)

    async def leave(self, session: Session) -> None:
        """This session only."""
        await self._sessions.end(session)
        await self._revocations.revoke(session.tenant, "session", session.session_id)

    async def unlock(self, user: User) -> None:
        """Failures so far do not count."""
        for whose in (lockout.account(user.username), lockout.second_factor(user.user_id)):
            await self._attempts.forgive(user.tenant, whose)

    async def remember_device(self, user: User) -> str:
        """What the browser keeps: failures of strangers do not count against it."""
        device = secrets.token_urlsafe(32)
        await self.users.remember_device(user, totp.digest(device))
        return device

    async def _method(self, user: User, given: str) -> str | None:
        if totp.is_recovery_code(given):
            return RECOVERY if await self.users.spend_recovery(user, totp.digest(given)) else None
        secret = await self.users.unsealed(user, user.secret) if user.secret else None
        step = totp.step_of(secret, _digits(given), self._clock()) if secret else None
        return CODE if step is not None and await self.users.spend_step(user, step) else None

    async def _charge(self, tenant: str, whose: str, pauses: Pauses) -> None:
        wait = await self._attempts.charge(tenant, whose, pauses)
        if wait:
            raise NotProven(wait)

    async def _change(self, user: User, **changes: Any) -> User:
        """From this moment on no session and no token of before is good."""
        changed = await self.users.change(user.tenant, user.username, changed=moment(), **changes)
        await self._sessions.end_all(user.tenant, user.user_id)
        await self._revocations.revoke(user.tenant, "user", user.user_id)
        _log(f"changed {', '.join(sorted(changes))}", user.tenant, user)
        return changed


def _digits(given: str) -> str:
    """Devices show codes in two groups."""
    return "".join(given.split())


def _log(message: str, tenant: str, user: User | None) -> None:
    LOGGER.info(message, extra={"fields": {"tenant": tenant, "user": user.user_id if user else None}})
