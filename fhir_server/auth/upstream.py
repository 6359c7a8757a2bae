"""People who prove elsewhere who they are: this server as a client of a tenant's OpenID Connect provider.

The way there is bound to the browser that went: the answer is good once, for the cookie that the question was for.
https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth, RFC 7636, RFC 9207, RFC 9700 §4.4, §4.7
"""

from __future__ import annotations

import logging
import secrets
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from fhir_server.auth.assertion import TYPE
from fhir_server.auth.discovered import Discovery, Published
from fhir_server.auth.fetching import Fetching, Unfetched
from fhir_server.auth.identity import Expected, Identity, identity, told
from fhir_server.auth.jwt import InvalidToken, opened
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.people import CODE, FEDERATED, RECOVERY, SEVERAL
from fhir_server.auth.redirects import answered
from fhir_server.auth.tokens import issuer as issuer_of
from fhir_server.auth.tokens import signed
from fhir_server.store.connection import Store
from fhir_server.store.upstream import Upstream
from fhir_server.store.users import User, account_at, moment

LOGGER = logging.getLogger("fhir_server.people")

AWAY = timedelta(minutes=15)
"""How long somebody may take there."""
ASSERTION = 120
"""Seconds for which an assertion of ours is good."""
CALLBACK = "provider-answer"
OURS = frozenset(
    {
        *("response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "prompt"),
        *("max_age", "code_challenge", "code_challenge_method", "acr_values", "request", "request_uri"),
    }
)
"""Parameters that an operator cannot choose."""
PROMPTS = ("login", "select_account")

OVER = "This sign-in has been finished already, has waited too long, or began in another browser. Please start again."
UNREACHABLE = "{} cannot be reached at this moment. Please try again in a while."
UNTRUE = "What {} answered cannot be relied on, so nobody was signed in. Try again, or ask whoever runs this server."
TURNED_AWAY = "{} did not let you sign in."
UNKNOWN = "{} knows you, but nobody here goes by that account. Whoever runs this server can connect it with you."


class NotVouched(Exception):
    """Why nobody is signed in: a sentence for the person. `lost` where it is not certain that they began it."""

    def __init__(self, said: str, reason: str, *, lost: bool = False, request: str = "") -> None:
        super().__init__(reason)
        self.said = said
        self.lost = lost
        self.request = request


@dataclass(frozen=True, slots=True)
class Wish:
    """What an application wants of the sign-in that it is for."""

    request: str = ""
    prompt: str = ""
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class Vouched:
    """Somebody of whom the provider has said who it is."""

    user: User
    methods: tuple[str, ...]
    since: datetime
    request: str


class Vouching:
    """`base_url` is the public one: the provider sends browsers back to an address that is made of it."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        fetching: Fetching,
        base_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._fetching = fetching
        self._discovery = Discovery(fetching)
        self._base_url = base_url
        self._clock = clock

    async def of(self, tenant: str) -> Upstream | None:
        return await self._store.upstreams.get(tenant)

    async def begin(self, upstream: Upstream, cookie: str, wish: Wish) -> str:
        """Where to send the browser."""
        published = await self._published(upstream, wish.request)
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        max_age = 0 if "login" in wish.prompt.split() else wish.max_age
        earliest = None if max_age is None else int(self._clock()) - max_age
        kept = {"nonce": nonce, "verifier": verifier, "browser": _digest(cookie), "issuer": upstream.issuer}
        state = await self._store.handles.new(
            upstream.tenant, "upstream", {**kept, "request": wish.request, "earliest": earliest}, AWAY
        )
        asked = {
            "response_type": "code",
            "client_id": upstream.client_id,
            "redirect_uri": self.callback(upstream.tenant),
            "scope": " ".join(upstream.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        # What the operator adds never takes the place of what holds the sign-in together.
        return answered(
            published.authorization_endpoint, **{**upstream.parameters, **_wishes(upstream, wish, max_age), **asked}
        )

    async def finish(self, tenant: str, cookie: str, answer: Mapping[str, str]) -> Vouched:
        """Whom the answer of the provider is about; raises `NotVouched`."""
        taken = await self._store.handles.take(tenant, "upstream", answer.get("state", ""))
        if taken is None or not taken.first:
            raise NotVouched(OVER, "its 'state' is none of ours, or was used", lost=True)
        kept = taken.content
        # RFC 9700 §4.7: whoever is sent here with somebody else's answer did not begin it in this browser.
        if not compare_digest(kept["browser"], _digest(cookie)):
            raise NotVouched(OVER, "its 'state' belongs to another browser", lost=True)
        upstream = await self.of(tenant)
        if upstream is None or upstream.issuer != kept["issuer"]:
            raise NotVouched(OVER, "the provider was changed meanwhile", lost=True)
        try:
            found = await self._identity(upstream, kept, answer)
            user = await self._user(upstream, found)
        except NotVouched as problem:
            problem.request = kept["request"]
            raise
        return Vouched(user, _methods(upstream, found), _since(found, user), kept["request"])

    async def leaving(self, upstream: Upstream) -> str | None:
        """Where somebody signs out of the provider too. OpenID Connect RP-Initiated Logout §2"""
        try:
            published = await self._discovery.of(upstream.issuer)
        except Unfetched:
            return None
        if published.end_session_endpoint is None:
            return None
        back = f"{issuer_of(self._base_url, upstream.tenant)}/signed-out"
        return answered(published.end_session_endpoint, client_id=upstream.client_id, post_logout_redirect_uri=back)

    def callback(self, tenant: str) -> str:
        """The address to register with the provider."""
        return f"{issuer_of(self._base_url, tenant)}/{CALLBACK}"

    async def _identity(self, upstream: Upstream, kept: Mapping[str, Any], answer: Mapping[str, str]) -> Identity:
        published = await self._published(upstream, kept["request"])
        # RFC 9207 §2.4: compared before anything else of the answer is believed.
        if answer.get("iss", None if published.names_itself else upstream.issuer) != upstream.issuer:
            raise NotVouched(UNTRUE.format(upstream.title), "the answer is that of another issuer")
        if "error" in answer or not answer.get("code"):
            raise NotVouched(TURNED_AWAY.format(upstream.title), "the provider answered with an error")
        expected = Expected(upstream.issuer, upstream.client_id, kept["nonce"], kept["earliest"])
        try:
            tokens = await self._redeemed(upstream, published, answer["code"], kept["verifier"])
            token = tokens.get("id_token")
            if not isinstance(token, str):
                raise InvalidToken("there is no identity token")
            keys = await self._discovery.keys(published, opened(token)[0].get("kid"))
            return identity(token, keys, expected, self._clock())
        except (Unfetched, InvalidToken) as problem:
            raise NotVouched(UNTRUE.format(upstream.title), str(problem)) from problem

    async def _redeemed(self, upstream: Upstream, published: Published, code: str, verifier: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback(upstream.tenant),
            "code_verifier": verifier,
        }
        # Not by Authlib's client: it would connect by itself, without the limits of `Fetching`.
        proof, headers = await self._proof(upstream, published)
        return (await self._fetching.post(published.token_endpoint, {**form, **proof}, headers)).document

    async def _proof(self, upstream: Upstream, published: Published) -> tuple[dict[str, str], dict[str, str]]:
        """Who we are: parameters and headers. OpenID Connect Core §9, RFC 6749 §2.3.1, RFC 7523 §2.2"""
        if upstream.secret is None:
            made = await self._assertion(upstream, published)
            proof = {"client_assertion_type": TYPE, "client_assertion": made}
            return {"client_id": upstream.client_id, **proof}, {}
        if published.posts_secrets:
            return {"client_id": upstream.client_id, "client_secret": upstream.secret}, {}
        words = f"{quote_plus(upstream.client_id)}:{quote_plus(upstream.secret)}"
        return {}, {"Authorization": f"Basic {b64encode(words.encode()).decode()}"}

    async def _assertion(self, upstream: Upstream, published: Published) -> str:
        """Signed with the key of the tenant that its key set publishes; access tokens are of another type."""
        now = int(self._clock())
        claims = {
            "iss": upstream.client_id,
            "sub": upstream.client_id,
            "aud": published.token_endpoint,
            "iat": now,
            "exp": now + ASSERTION,
            "jti": uuid4().hex,
        }
        return signed(await self._keyring.signing(upstream.tenant), "JWT", claims)

    async def _published(self, upstream: Upstream, request: str) -> Published:
        try:
            return await self._discovery.of(upstream.issuer)
        except Unfetched as problem:
            raise NotVouched(UNREACHABLE.format(upstream.title), str(problem), request=request) from problem

    async def _user(self, upstream: Upstream, found: Identity) -> User:
        """By the account that belongs to a user, or the first time by the claim that the operator named."""
        account = account_at(found.issuer, found.subject)
        user = await self._store.users.by_account(upstream.tenant, account)
        user = user or await self._linked(upstream, found, account)
        if user is None or user.disabled:
            raise NotVouched(UNKNOWN.format(upstream.title), "no active user has this account")
        LOGGER.info("signed in elsewhere", extra={"fields": {"tenant": upstream.tenant, "user": user.user_id}})
        return user

    async def _linked(self, upstream: Upstream, found: Identity, account: str) -> User | None:
        """Once for each user: a name that the provider gives to somebody else later opens nothing."""
        name = told(found.claims, upstream.match) if upstream.match else None
        user = await self._store.users.get(upstream.tenant, name) if name else None
        if user is None or user.disabled:
            return None
        taken = user.upstream is not None and user.upstream.startswith(account_at(found.issuer, ""))
        if taken or not await self._store.users.link(user, account):
            return None
        LOGGER.info("account linked", extra={"fields": {"tenant": upstream.tenant, "user": user.user_id}})
        return user


def _wishes(upstream: Upstream, wish: Wish, max_age: int | None) -> Mapping[str, str]:
    """OpenID Connect Core §3.1.2.1: what is passed on of what the application asked for."""
    prompt = " ".join(each for each in wish.prompt.split() if each in PROMPTS)
    age = "" if max_age is None else str(max_age)
    given = {"prompt": prompt, "max_age": age, "acr_values": " ".join(upstream.classes)}
    return {name: value for name, value in given.items() if value}


def _methods(upstream: Upstream, found: Identity) -> tuple[str, ...]:
    """A second factor counts where the tenant trusts the provider with it; else ours is asked for. RFC 8176"""
    proven = upstream.trusted and (SEVERAL in found.methods or found.context_class in upstream.classes)
    ours = {CODE, RECOVERY, SEVERAL, FEDERATED}
    rest = tuple(each for each in found.methods if each not in ours)
    return (FEDERATED, *rest, *((SEVERAL,) if proven else ()))


def _since(found: Identity, user: User) -> datetime:
    """When they proved it there, but after whatever ended their sessions here, and not later than now."""
    now = moment()
    if found.authenticated is None:
        return now
    return min(now, max(user.changed, datetime.fromtimestamp(found.authenticated, UTC)))


def _digest(cookie: str) -> str:
    return sha256(cookie.encode()).hexdigest()
