"""The one place where the rooms are wired: `build(settings)` reads as a table of contents."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI

from fhir_server.auth import answers, authorize, break_glass, discovery, jwks, launch, register, step_up, token
from fhir_server.auth.assertion import Assertions
from fhir_server.auth.authorization import Authorizations
from fhir_server.auth.client_keys import ClientKeys
from fhir_server.auth.fetching import Fetching
from fhir_server.auth.issuing import Issuing
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.pages import PAGES
from fhir_server.auth.passwords import Passwords
from fhir_server.auth.people import People
from fhir_server.auth.provider import Provider
from fhir_server.auth.recorded import Witness
from fhir_server.auth.refusal import OAuthError
from fhir_server.auth.server import Parts
from fhir_server.auth.sessions import Limits, Sessions
from fhir_server.auth.tokens import AccessTokens
from fhir_server.auth.upstream import Vouching
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions import deferred
from fhir_server.jobs import audit, key_policies, reencrypt, reindex, rounds, worker
from fhir_server.jobs.running import Kinds
from fhir_server.opening import store_of
from fhir_server.rest import health, log
from fhir_server.rest.admission import Admission
from fhir_server.rest.asgi import Receive, Scope, Send
from fhir_server.rest.auditing import Auditing
from fhir_server.rest.body import BodyLimits
from fhir_server.rest.cors import CrossOrigin, Origins
from fhir_server.rest.door import Door, Manners
from fhir_server.rest.exchange import KEY
from fhir_server.rest.recorder import Recorder
from fhir_server.rest.records import Records
from fhir_server.rest.render import Compression
from fhir_server.settings import Settings, is_loopback
from fhir_server.store.connection import Store
from fhir_server.store.deferred import BUNDLE
from fhir_server.store.standing import Standing

DESCRIPTION = """
The FHIR API is at `/fhir/{tenant}`; what it can do is said by its CapabilityStatement, `/fhir/{tenant}/metadata`.
This page shows the other endpoints.
"""

UNTRACED: Any = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False}
"""Traces made by the framework would carry URLs and messages of exceptions, which can be about a patient."""

FHIR = "/fhir/"

ROUNDS = (key_policies.ROUND,)
"""What one of all processes looks at every so often."""


class Application(FastAPI):
    """FastAPI with the FHIR door in front: what is below `/fhir` passes neither its router nor its wrappers.

    A Starlette mount would do the same and cost every read some tens of microseconds.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and f"{scope['path']}/".startswith(FHIR):
            await self.state.door(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def build(settings: Settings) -> FastAPI:
    app = Application(
        title="FHIR server",
        version=version("fhir-server"),
        description=DESCRIPTION,
        lifespan=_lifespan(settings),
        redoc_url=None,
        telemetry=UNTRACED,
    )
    app.include_router(health.router)
    for room in (jwks, discovery, authorize, token, register, launch, step_up, break_glass):
        app.include_router(room.router)
    for page in PAGES:
        app.include_router(page)
    app.add_exception_handler(OAuthError, answers.of_oauth)
    app.add_exception_handler(FhirError, answers.of_store)
    app.state.records = Records()
    app.add_middleware(CrossOrigin, origins=lambda tenant: app.state.origins(tenant))
    app.add_middleware(Recorder, records=app.state.records, secure=_is_secure(settings))
    return app


def from_environment() -> FastAPI:
    """What every worker process of an ASGI server calls."""
    settings = Settings()
    log.configure(settings.log_level)
    return build(settings)


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with store_of(settings) as store:
            await _provide(store, settings.tenants)
            keyring = Keyring(store.tenants, store.keys)
            app.state.store = store
            app.state.keyring = keyring
            passwords = Passwords()
            app.state.people = People(store, passwords)
            app.state.sessions = _sessions(settings, store)
            app.state.provider = _provider(settings, store, keyring, app.state.sessions)
            app.state.vouching = Vouching(store, keyring, Fetching(settings.internal_hosts), settings.public_url)
            app.state.origins = _origins(settings, store)
            app.state.witness = _witness(settings, store)
            app.state.door = Recorder(
                _door(settings, store, app.state.provider.tokens, app.state.origins),
                records=app.state.records,
                secure=_is_secure(settings),
            )
            _settle_memory()
            async with (
                worker.working(store, _kinds(settings)),
                rounds.going(store, ROUNDS),
                audit.keeping(store.journal),
            ):
                yield
            passwords.close()
            app.state.records.flush()

    return lifespan


async def _provide(store: Store, names: frozenset[str]) -> None:
    """Workers start together: one of them is first, and the others find what it made."""
    for name in sorted(names):
        try:
            await store.tenants.create(name)
        except FhirError as problem:
            if problem.status != 409:
                raise


def _provider(settings: Settings, store: Store, keyring: Keyring, sessions: Sessions) -> Provider:
    issuing = Issuing(store, keyring, settings.public_url, settings.issuer_url)
    assertions = Assertions(store, ClientKeys(Fetching(settings.internal_hosts)), settings.public_url)
    return Provider(
        store=store,
        keyring=keyring,
        tokens=AccessTokens(keyring, settings.issuer_url, revocations=store.revocations),
        authorizations=Authorizations(store, keyring, settings.public_url),
        parts=Parts(store, issuing, assertions, sessions.ended),
        base_url=settings.public_url,
    )


def _witness(settings: Settings, store: Store) -> Witness | None:
    """What happens at the authorization server is recorded by it; None where nothing is."""
    return None if store.journal.off else Witness(store, settings.public_url, lambda scope: scope[KEY].request_id)


def _origins(settings: Settings, store: Store) -> Origins:
    """Those of the operator, and those that the clients of a tenant are registered with."""

    async def origins(tenant: str) -> frozenset[str]:
        try:
            known = await store.tenants.get(tenant)
            return settings.cors_origins | (await store.clients.origins(tenant) if known else frozenset())
        except FhirError:
            return settings.cors_origins

    return origins


def _door(settings: Settings, store: Store, tokens: AccessTokens, origins: Origins) -> Door:
    manners = Manners(
        public_url=settings.public_url,
        body=BodyLimits(settings.max_body_bytes, settings.body_grace_seconds, settings.body_bytes_per_second),
        compression=Compression(settings.gzip_level, settings.gzip_minimum_bytes),
        origins=origins,
    )
    admission = Admission(store.tenants, None if settings.no_auth else tokens, Standing(store))
    return Door(store, admission, manners, None if store.journal.off else Auditing(store, settings.public_url))


def _sessions(settings: Settings, store: Store) -> Sessions:
    """Without https only browsers on this machine may be sent a form for a password."""
    limits = Limits(timedelta(seconds=settings.session_idle_seconds), timedelta(seconds=settings.session_seconds))
    local = is_loopback(urlsplit(settings.public_url).hostname or "")
    return Sessions(store, limits, secure=_is_secure(settings), possible=_is_secure(settings) or local)


def _kinds(settings: Settings) -> Kinds:
    """Jobs that every worker process takes its turn with."""
    return {
        reindex.KIND: reindex.run,
        reencrypt.KIND: reencrypt.run,
        BUNDLE: deferred.kept_for(settings.async_result_seconds),
    }


def _is_secure(settings: Settings) -> bool:
    return settings.public_url.startswith("https:")


def _settle_memory() -> None:
    """What start-up made lives as long as the process: the collector need not walk it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
