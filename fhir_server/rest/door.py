"""The FHIR door: one HTTP request in, one entry performed, one HTTP answer out.  https://hl7.org/fhir/R4/http.html

A pure ASGI application: FastAPI's routing and dependencies would cost a third of a read.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.auth.discovery import SMART_PATH, smart
from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context, Interaction
from fhir_server.interactions.table import context, perform_as, resolve
from fhir_server.rest import binary, cors, entries, headers, log, negotiation, render
from fhir_server.rest.address import Address, located
from fhir_server.rest.admission import Admission
from fhir_server.rest.asgi import Receive, Scope, Send
from fhir_server.rest.auditing import Auditing
from fhir_server.rest.body import BodyLimits, ClientGone
from fhir_server.rest.cors import Origins
from fhir_server.rest.exchange import KEY, Exchange
from fhir_server.rest.headers import Headers
from fhir_server.rest.negotiation import Wanted
from fhir_server.rest.render import Answer, Compression
from fhir_server.store.connection import Store


@dataclass(frozen=True, slots=True)
class Manners:
    """How this server speaks HTTP, as set by its operator."""

    public_url: str
    body: BodyLimits
    compression: Compression
    origins: Origins
    """Of web pages whose scripts may use the FHIR base of a tenant."""


class Door:
    def __init__(self, store: Store, admission: Admission, manners: Manners, auditing: Auditing | None = None):
        self._store = store
        self._admission = admission
        self._manners = manners
        self._auditing = auditing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope[KEY]
        given = dict(scope["headers"])
        try:
            reply = await self._recorded(scope, given, receive, exchange)
        except ClientGone:
            return
        except FhirError as problem:
            reply = await render.shaped(render.refusal(problem), _asked_for(scope, given))
        except Exception:
            reply = await self._failed(scope, given, exchange)
        if b"origin" in given:
            tenant, _, path = scope["path"].removeprefix("/fhir/").partition("/")
            reply.headers = reply.headers + cors.granted(given, path, await self._manners.origins(tenant))
        await render.send(
            reply,
            send,
            head=scope["method"] == "HEAD",
            accept_encoding=given.get(b"accept-encoding", b""),
            compression=self._manners.compression,
        )

    async def _recorded(self, scope: Scope, given: Headers, receive: Receive, exchange: Exchange) -> Answer:
        """The answer, once the event that says so is kept."""
        refusal: FhirError | None = None
        try:
            reply = await self._reply(scope, given, receive, exchange)
        except FhirError as problem:
            refusal, reply = problem, await render.shaped(render.refusal(problem), _asked_for(scope, given))
        except ClientGone:
            raise
        except Exception:
            reply = await self._failed(scope, given, exchange)
        if self._auditing is not None:
            await self._auditing.told(scope, exchange, reply.status, refusal)
        return reply

    async def _failed(self, scope: Scope, given: Headers, exchange: Exchange) -> Answer:
        log.failure(exchange.request_id)
        return await render.shaped(render.failure(exchange.request_id), _asked_for(scope, given))

    async def _reply(self, scope: Scope, given: Headers, receive: Receive, exchange: Exchange) -> Answer:
        address = located(scope)
        given = headers.checked(scope["headers"], given)
        if cors.is_preflight(scope["method"], given):
            exchange.unrecorded = True
            return Answer(204, cors.preflight(given, address.path, await self._manners.origins(address.tenant)))
        if address.path == SMART_PATH and scope["method"] in ("GET", "HEAD"):
            exchange.unrecorded = True
            return await self._configuration(address.tenant)
        ctx = await self._context(scope, address, given, exchange)
        wanted = negotiation.wanted(given, address.query)
        entry = entries.asked(scope["method"], address, given)
        entry, interaction, path = await self._resolved(entry, given, receive, exchange)
        as_content = _as_content(interaction, path, wanted)
        if not as_content:
            wanted.check(interaction.media_type)
        response = await perform_as(ctx, entry, interaction, path)
        if as_content and response.status == 200:
            return _content(response)
        reply = render.answer(response, ctx.base)
        return reply if wanted.as_stored else await render.shaped(reply, wanted)

    async def _configuration(self, tenant: str) -> Answer:
        """JSON, whatever is asked for. https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-well-known"""
        await self._admission.active(tenant)
        body = json.encode(smart(self._manners.public_url, tenant))
        return Answer(200, [*render.FIXED, (b"content-type", b"application/json")], body)

    async def _context(self, scope: Scope, address: Address, given: Headers, exchange: Exchange) -> Context:
        tenant, caller = await self._admission.admit(scope["method"], address, given)
        exchange.tenant, exchange.client_id, exchange.token_id = tenant.name, caller.client_id, caller.token_id
        recording = self._auditing.begun(scope, exchange, address, tenant, caller) if self._auditing else None
        return context(
            self._store.repository(tenant, caller, recording=recording),
            base=f"{self._manners.public_url}/fhir/{tenant.name}",
            cursor_key=await self._store.keys.cursor(tenant.name),
        )

    async def _resolved(
        self, entry: EntryRequest, given: Headers, receive: Receive, exchange: Exchange
    ) -> tuple[EntryRequest, Interaction, dict[str, str]]:
        """The row of the table, and the body, which is not read for what has no row.

        Only the Bundle itself says whether what is posted to the base is a batch or a transaction.
        """
        if not entry.path and entry.method == "POST":
            entry = await entries.filled(entry, {}, given, receive, self._manners.body)
        interaction, path = resolve(entry)
        exchange.interaction, exchange.resource_type = interaction.code, path.get("resource_type")
        if entry.path and entry.method in entries.WITH_BODY:
            entry = await entries.filled(entry, path, given, receive, self._manners.body)
        if exchange.recorded is not None:
            asked, _ = exchange.recorded
            asked.interaction = interaction.code
            if entry.path.endswith(entries.SEARCH):
                asked.url = entry.url
        return entry, interaction, path


def _asked_for(scope: Scope, given: Headers) -> Wanted:
    """The format of a refusal, whatever the request was refused for."""
    return negotiation.wanted(given, scope["query_string"].decode("latin-1"))


def _as_content(interaction: Interaction, path: dict[str, str], wanted: Wanted) -> bool:
    """Whether a Binary is asked for as what it is. https://hl7.org/fhir/R4/binary.html#rest"""
    return path.get("resource_type") == binary.TYPE and interaction.code in binary.READS and not wanted.fhir


def _content(response: EntryResponse) -> Answer:
    shown, body = binary.content(response)
    return Answer(200, [*render.FIXED, *render.validators(response), *shown], body)
