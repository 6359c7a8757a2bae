"""step-up: a person proves again who they are, for a signature or to break the glass.  21 CFR 11.200(a)(1)

https://pages.nist.gov/800-63-4/sp800-63b.html#reauthentication
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from fhir_server.auth import form, provider, totp
from fhir_server.auth.jwt import Claims
from fhir_server.auth.passwords import Busy
from fhir_server.auth.people import PASSWORD, NotProven, People
from fhir_server.auth.provider import KEPT_BY_NOBODY, Provider
from fhir_server.auth.recorded import Recorded, note
from fhir_server.auth.refusal import OAuthError
from fhir_server.auth.sessions import Sessions
from fhir_server.store.step_up import LIFETIME, NO_PERSON, PURPOSES, Purpose
from fhir_server.store.users import User

router = APIRouter(prefix="/auth/{tenant}", route_class=Recorded, tags=["step-up"])

WRONG = "The password or the code is not right, or the code has been used already."
BOTH = "The password and a code of the second factor are both needed: this is the first signing, or not a signing."
NEITHER = "The password or a code of the second factor is needed."
NO_FACTORS = "This needs a password of one's own and a second factor; both are set up at /auth/{}/account."


@router.post("/step-up", summary="Prove again who you are, to sign or to break the glass")
async def step_up(tenant: str, request: Request) -> JSONResponse:
    """The first signing of a session takes both factors, the next ones either of them, until ten minutes pass."""
    house = provider.of(request)
    await house.tenant(tenant)
    claims = await house.bearer(tenant, request)
    note(request, client=claims["client_id"], subject=claims["sub"], token=claims["jti"])
    sessions: Sessions = request.app.state.sessions
    if not sessions.possible:
        raise OAuthError("invalid_request", "Passwords are not sent over a connection that others can read.", 403)
    given = await form.parameters(request)
    purpose = _purpose(given)
    user, session = await _person(house, claims), str(claims.get("sid", claims["jti"]))
    note(request, user=user, about=purpose)
    await _check_complete(house, user, session, purpose, given)
    methods = await _proven(request.app.state.people, user, given)
    note(request, details=tuple(("method", each) for each in methods))
    word = await house.store.step_ups.new(user, session, purpose, methods)
    return JSONResponse({"step_up": word, "expires_in": int(LIFETIME.total_seconds())}, headers=dict(KEPT_BY_NOBODY))


def _purpose(given: Mapping[str, str]) -> Purpose:
    for purpose in PURPOSES:
        if given.get("purpose") == purpose:
            return purpose
    raise OAuthError("invalid_request", f"The parameter 'purpose' can be {' or '.join(PURPOSES)}.")


async def _person(house: Provider, claims: Claims) -> User:
    """Who has both factors; a password that somebody else gave proves nothing. 21 CFR 11.300(a)"""
    user = await house.store.users.by_id(claims["tenant"], claims["sub"]) if "roles" in claims else None
    if user is None or user.disabled:
        raise OAuthError("access_denied", NO_PERSON, 403)
    if user.password is None or user.renew or user.secret is None:
        raise OAuthError("access_denied", NO_FACTORS.format(user.tenant), 403)
    return user


async def _check_complete(
    house: Provider, user: User, session: str, purpose: Purpose, given: Mapping[str, str]
) -> None:
    """What is missing is said before anything is looked at: it is no wrong try. RFC 9470 §3"""
    shown = sum(bool(given.get(name)) for name in ("password", "code"))
    goes_on = purpose == "sign" and await house.store.step_ups.signing(user.tenant, user.user_id, session)
    if shown < (1 if goes_on else 2):
        raise OAuthError("insufficient_user_authentication", NEITHER if goes_on else BOTH, 401, _challenge())
    if totp.is_recovery_code(given.get("code", "")):
        raise OAuthError("invalid_request", "A recovery code is good for signing in, not here.")


async def _proven(people: People, user: User, given: Mapping[str, str]) -> tuple[str, ...]:
    """All that was shown must be right; which of it was wrong is not said."""
    methods: list[str] = []
    try:
        if given.get("password"):
            await people.again(user, given["password"])
            methods.append(PASSWORD)
        if given.get("code"):
            methods.append(await people.by_code(user, given["code"]))
    except NotProven as problem:
        raise _refused(problem) from problem
    except Busy as problem:
        raise OAuthError(
            "temporarily_unavailable", "Please try again in a moment.", 503, {"Retry-After": "1"}
        ) from problem
    return tuple(methods)


def _refused(problem: NotProven) -> OAuthError:
    if problem.wait:
        seconds = int(problem.wait.total_seconds()) + 1
        said = f"There were too many wrong tries. Wait {seconds} seconds, then try again."
        return OAuthError("access_denied", said, 429, {"Retry-After": str(seconds)})
    return OAuthError("insufficient_user_authentication", WRONG, 401, _challenge())


def _challenge() -> Mapping[str, str]:
    return {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication"'}
