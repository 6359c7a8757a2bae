"""Who comes in: the tenant of the URL, and the caller that the bearer token stands for.  RFC 6750"""

from __future__ import annotations

from fhir_server.access.caller import Caller
from fhir_server.auth.jwt import InvalidToken
from fhir_server.auth.tokens import AccessTokens
from fhir_server.fhir.outcome import FhirError, error, forbidden
from fhir_server.rest.address import Address
from fhir_server.rest.cors import OPEN_PATHS
from fhir_server.rest.headers import Headers
from fhir_server.store.standing import Standing
from fhir_server.store.tenants import Tenant, Tenants

ELSEWHERE = "This access token is not for this tenant."
"""The same whether the other tenant exists or not."""
SUSPENDED = "This tenant is suspended; its operator can resume it."


class Admission:
    """Decides before anything is read; without `tokens` everyone who can connect is the operator of this machine."""

    def __init__(self, tenants: Tenants, tokens: AccessTokens | None, standing: Standing):
        self._tenants = tenants
        self._standing = standing
        self._tokens = tokens
        self._local: dict[str, Caller] = {}

    async def admit(self, method: str, address: Address, headers: Headers) -> tuple[Tenant, Caller]:
        """401 without a good token, 403 with one for another tenant, 404 only where no token was asked for."""
        if address.path in OPEN_PATHS and method in ("GET", "HEAD"):
            return await self.active(address.tenant), Caller.nobody(address.tenant)
        if self._tokens is None:
            return await self.active(address.tenant), self._operator(address.tenant)
        caller = await self._authenticated(self._tokens, headers)
        if caller.tenant != address.tenant:
            raise forbidden(ELSEWHERE)
        tenant = await self._tenants.get(address.tenant)
        if tenant is None or not tenant.active:
            raise forbidden(SUSPENDED)
        return tenant, await self._standing.now(tenant, caller)

    async def active(self, name: str) -> Tenant:
        tenant = await self._tenants.get(name)
        if tenant is None or not tenant.active:
            raise error("not-found", f"There is no tenant '{name}' here.")
        return tenant

    def _operator(self, tenant: str) -> Caller:
        """One for each tenant that exists, so that what was decided for it is remembered."""
        if tenant not in self._local:
            self._local[tenant] = Caller.anonymous_local(tenant)
        return self._local[tenant]

    async def _authenticated(self, tokens: AccessTokens, headers: Headers) -> Caller:
        try:
            return await tokens.caller(_token(headers))
        except InvalidToken as problem:
            raise _refused(problem) from problem


def _token(headers: Headers) -> str:
    value = headers.get(b"authorization")
    if value is None:
        challenge = [("WWW-Authenticate", "Bearer")]
        raise error("login", "This needs an access token: Authorization: Bearer …", headers=challenge)
    scheme, _, token = value.decode("latin-1").strip().partition(" ")
    # RFC 9110 §11.1: the scheme is case-insensitive.
    if scheme.lower() != "bearer" or not token or " " in token:
        raise InvalidToken("it does not come as 'Authorization: Bearer …'")
    return token


def _refused(problem: InvalidToken) -> FhirError:
    """RFC 6750 §3.1; the description holds nothing of the token."""
    description = f"The access token is refused: {problem}."
    challenge = f'Bearer error="invalid_token", error_description="{description}"'
    code = "expired" if problem.expired else "login"
    return error(code, description, headers=[("WWW-Authenticate", challenge)])
