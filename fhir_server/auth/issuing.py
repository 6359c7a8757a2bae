"""What the token endpoint gives out.  RFC 6749 §5.1, OpenID Connect Core §2

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#launch-context-arrives-with-your-access_token
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fhir_server.auth import refresh
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.tokens import audience, issue, issuer, signed
from fhir_server.store.clients import Client
from fhir_server.store.connection import Store
from fhir_server.store.grants import Grant
from fhir_server.store.revocations import Kind, marked

ACCESS = 3600
"""Seconds; a revocation reaches every process within one."""
BACKEND = 300
"""https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html#issue-access-token"""
OFFLINE = timedelta(days=180)
"""From its last use, for as long as it is used."""
ONLINE = timedelta(hours=12)
GRACE = timedelta(seconds=5)
"""For so long a refresh token that was just used is answered with the same again: its first answer may be lost."""

Response = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Issuing:
    """`base_url` is what applications see; `issuer_url` is what access tokens name, which only this server reads."""

    store: Store
    keyring: Keyring
    base_url: str
    issuer_url: str

    async def first(self, grant: Grant) -> Response:
        """For a code."""
        await self.store.grants.keep(grant, _lifetime(grant) or timedelta(seconds=ACCESS))
        response = await self._tokens(grant, grant.scopes, datetime.now(UTC))
        if "openid" in grant.scopes:
            response["id_token"] = await self._identity(grant)
        return response

    async def next(self, grant: Grant, turn: int, scopes: Sequence[str]) -> Response | None:
        """For the refresh token of a turn; nothing where that one may not be used again."""
        turned = await self.store.grants.turn(grant.tenant, grant.grant_id, turn, datetime.now(UTC))
        if turned is None:
            turned = await self.store.grants.get(grant.tenant, grant.grant_id)
            if turned is None or not repeated(turned, turn):
                return None
        await self.store.grants.keep(turned, _lifetime(turned) or timedelta(0))
        return await self._tokens(turned, scopes, turned.turned or datetime.now(UTC))

    async def for_client(self, client: Client, scopes: Sequence[str]) -> Response:
        """For a client that acts for nobody, which gets no refresh token. RFC 6749 §4.4.3"""
        token = issue(
            await self.keyring.signing(client.tenant),
            base_url=self.issuer_url,
            tenant=client.tenant,
            subject=client.client_id,
            client_id=client.client_id,
            scope=" ".join(scopes),
            ttl=BACKEND,
            more={"clearance": client.clearance.split()} if client.clearance else None,
        )
        return _answer(token, BACKEND, scopes)

    async def end(self, tenant: str, grant_id: str) -> None:
        """A grant with all its tokens, in every process within a second."""
        await self.store.grants.end(tenant, grant_id)
        await self.store.revocations.revoke(tenant, "grant", grant_id)

    async def spoil(self, tenant: str, grant_id: str) -> None:
        """A grant whose code was used twice. Of all who use it at once one is answered, with tokens that are no good.

        RFC 6749 §4.1.2
        """
        await self.store.grants.spoil(tenant, grant_id)
        await self.store.revocations.revoke(tenant, "grant", grant_id)

    async def over(self, grant: Grant) -> bool:
        """Whether whom or what it depends on was revoked since, as the store says now."""
        depends: list[tuple[Kind, str]] = [("user", grant.user), ("client", grant.client)]
        if grant.session is not None:
            depends.append(("session", grant.session))
        for kind, name in depends:
            at = await self.store.revocations.at(marked(grant.tenant, kind, name))
            if at is not None and at >= grant.created.timestamp():
                return True
        return False

    async def _tokens(self, grant: Grant, scopes: Sequence[str], at: datetime) -> Response:
        """What is made of one turn is the same whenever it is asked for."""
        secret = await self.keyring.secret(grant.tenant)
        about = (grant.tenant, grant.grant_id, grant.turn)
        claims = {"jti": refresh.derived(secret, "access", *about), "gid": grant.grant_id, **_claims(grant)}
        token = issue(
            await self.keyring.signing(grant.tenant),
            base_url=self.issuer_url,
            tenant=grant.tenant,
            subject=grant.user,
            client_id=grant.client,
            scope=" ".join(scopes),
            patient=grant.patient,
            ttl=ACCESS,
            now=at.timestamp(),
            more=claims,
        )
        response = _answer(token, ACCESS, scopes)
        if _lifetime(grant) is not None:
            response["refresh_token"] = refresh.written(secret, *about)
        return {**self.context(grant), **response}

    def context(self, grant: Grant) -> Response:
        return {
            **({"patient": grant.patient} if grant.patient else {}),
            **({"encounter": grant.encounter} if grant.encounter else {}),
            "need_patient_banner": True,
            "smart_style_url": f"{issuer(self.base_url, grant.tenant)}/style.json",
            **grant.context,
        }

    async def _identity(self, grant: Grant) -> str:
        now = int(time.time())
        claims: Mapping[str, Any] = {
            "iss": issuer(self.base_url, grant.tenant),
            "sub": grant.user,
            "aud": grant.client,
            "azp": grant.client,
            "iat": now,
            "exp": now + ACCESS,
            **({"nonce": grant.nonce} if grant.nonce else {}),
            **({"auth_time": int(grant.authenticated.timestamp())} if grant.authenticated else {}),
            **self.about(grant.tenant, grant.fhir_user, grant.scopes),
        }
        return signed(await self.keyring.identity(grant.tenant), "JWT", claims)

    def about(self, tenant: str, fhir_user: str | None, scopes: Sequence[str]) -> Response:
        """Who the user is in FHIR, where the application may know.

        https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-identity-data
        """
        if fhir_user is None or not {"fhirUser", "profile"} & set(scopes):
            return {}
        url = f"{audience(self.base_url, tenant)}/{fhir_user}"
        return {"fhirUser": url, **({"profile": url} if "profile" in scopes else {})}


def _answer(token: str, seconds: int, scopes: Sequence[str]) -> Response:
    """RFC 6749 §5.1"""
    return {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": " ".join(scopes)}


def repeated(grant: Grant, turn: int) -> bool:
    """Whether the refresh token of this turn was used a moment ago and may be answered again."""
    return turn == grant.turn - 1 and grant.turned is not None and datetime.now(UTC) - grant.turned <= GRACE


def _lifetime(grant: Grant) -> timedelta | None:
    """For how long refresh tokens are good; nothing where there are none."""
    if "offline_access" in grant.scopes:
        return OFFLINE
    return ONLINE if "online_access" in grant.scopes else None


def _claims(grant: Grant) -> Response:
    """What an access token says of the person, besides what OAuth asks for. RFC 9068 §2.2"""
    names = {
        "sid": grant.session,
        "fhirUser": grant.fhir_user,
        "encounter": grant.encounter,
        "roles": list(grant.roles),
        "patients": None if grant.patients is None else list(grant.patients),
    }
    return {name: value for name, value in names.items() if value is not None}
