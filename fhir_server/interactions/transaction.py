"""transaction: all entries or none, in the order DELETE, POST, PUT and PATCH, GET.  https://hl7.org/fhir/R4/http.html#trules"""

from __future__ import annotations

from fhir_server.fhir import bundle
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.interactions import steps
from fhir_server.interactions.attempt import Attempt
from fhir_server.interactions.context import Context
from fhir_server.store.repository import Repository


async def run(ctx: Context, entry: EntryRequest) -> EntryResponse:
    planned = await steps.of_bundle(ctx, entry)

    async def attempted(repo: Repository) -> list[EntryResponse]:
        """May run again after a write conflict: what is answered comes from the attempt that is committed."""
        return await Attempt(ctx.inside(repo), planned).run()

    answers = await ctx.repo.transaction(attempted)
    return EntryResponse(200, bundle.response("transaction-response", answers), resource_type="Bundle")
