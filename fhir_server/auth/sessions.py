"""Who sits before the browser: sessions in cookies, and the proof that a form is one of ours.

A cookie holds the id of a session and a secret; whoever has not signed in yet has a random value in its place, so that
the form of signing in is bound to the browser too. RFC 6265bis §4.1.3,
https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request

from fhir_server.auth.people import CODE, FEDERATED, RECOVERY, SEVERAL
from fhir_server.auth.person import Person
from fhir_server.crypto import base64url
from fhir_server.store.connection import Store
from fhir_server.store.sessions import Session
from fhir_server.store.tenants import Tenant
from fhir_server.store.users import User, moment

HALFWAY = timedelta(minutes=10)
"""For a person who has a password right and has not done the rest yet."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a request to a page is part of."""

    tenant: Tenant
    cookie: str
    fresh: bool
    """The browser does not have the cookie yet."""
    token: str
    """What a form of ours carries."""
    device: str | None = None
    session: Session | None = None
    user: User | None = None

    @property
    def missing(self) -> str | None:
        """The page that stands between this person and being signed in."""
        if self.session is None or self.user is None:
            return "sign-in"
        return missing(self.tenant, self.user, self.session.methods)

    @property
    def person(self) -> Person | None:
        """Somebody who has done all that is asked."""
        if self.missing or self.session is None or self.user is None:
            return None
        user, session = self.user, self.session
        return Person(
            tenant=user.tenant,
            user_id=user.user_id,
            username=user.username,
            name=user.name,
            fhir_user=user.fhir_user,
            roles=user.roles,
            patients=user.patients,
            session_id=session.session_id,
            authenticated_at=session.authenticated,
            methods=session.methods,
        )


def missing(tenant: Tenant, user: User, methods: Sequence[str]) -> str | None:
    """The page on which somebody who has proven so much goes on.

    A second factor that the provider vouches for is in `methods` only where the tenant trusts it with that.
    """
    elsewhere = FEDERATED in methods
    if elsewhere and SEVERAL in methods:
        return None
    if user.secret and not {CODE, RECOVERY} & set(methods):
        return "second-factor"
    if not user.secret and tenant.setting("second_factor") == "required":
        return "enrol"
    return "password" if user.renew and not elsewhere else None


@dataclass(frozen=True, slots=True)
class Limits:
    idle: timedelta
    absolute: timedelta


class Sessions:
    """Opens the session of a request; begins, moves on and ends sessions."""

    def __init__(self, store: Store, limits: Limits, *, secure: bool, possible: bool = True) -> None:
        self.kept = store.sessions
        self._users = store.users
        self._tenants = store.tenants
        self._keys = store.keys
        self._limits = limits
        self.secure = secure
        self.possible = possible
        """Whether passwords may be sent: over https, or to this machine."""

    async def visit(self, request: Request, name: str) -> Visit | None:
        """None where there is no such tenant, or none that is active."""
        tenant = await self._tenants.get(name)
        if tenant is None or not tenant.active:
            return None
        cookie = request.cookies.get(self.cookie_name("session", name), "")
        session, user = await self._opened(name, cookie)
        fresh = not cookie or (session is None and "." in cookie)
        if fresh:
            cookie = secrets.token_urlsafe(32)
        device = request.cookies.get(self.cookie_name("device", name))
        return Visit(tenant, cookie, fresh, await self._token(name, cookie), device, session, user)

    async def begin(
        self, tenant: Tenant, user: User, methods: Sequence[str], request: str | None, since: datetime | None = None
    ) -> str:
        """The cookie of a new session. Each step gets one: nobody else can have known it before."""
        lasts = HALFWAY if missing(tenant, user, methods) else self._limits.absolute
        session, secret = await self.kept.begin(user, methods, lasts, request, since or moment())
        return f"{session.session_id}.{secret}"

    async def ended(self, tenant: str, session_id: str) -> bool:
        """Whether the person of a session has gone; an app may still be in use when our own pages are not."""
        session = await self.kept.get(tenant, session_id)
        return session is None or await self._user(session) is None

    def cookie_name(self, kind: str, tenant: str) -> str:
        """Over plain HTTP on the loopback interface a browser takes no `__Host-`."""
        return f"__Host-{kind}-{tenant}" if self.secure else f"{kind}-{tenant}"

    async def _opened(self, tenant: str, cookie: str) -> tuple[Session | None, User | None]:
        session_id, _, secret = cookie.partition(".")
        session = await self.kept.opened(tenant, session_id, secret) if secret else None
        if session is None or moment() - session.seen > self._limits.idle:
            return None, None
        user = await self._user(session)
        if user is None:
            return None, None
        await self.kept.touch(session)
        return session, user

    async def _user(self, session: Session) -> User | None:
        user = await self._users.get(session.tenant, session.username)
        good = user is not None and not user.disabled and user.changed <= session.authenticated
        return user if good else None

    async def _token(self, tenant: str, cookie: str) -> str:
        key = hmac.digest(await self._keys.cursor(tenant), b"forms", "sha256")
        return base64url.encoded(hmac.digest(key, cookie.encode(), "sha256"))


async def person_of(request: Request, tenant: str) -> Person | None:
    """Who has signed in, if somebody has."""
    sessions: Sessions = request.app.state.sessions
    visit = await sessions.visit(request, tenant)
    return visit.person if visit else None
