"""$graphql: what a query selects, of everything or of one resource.
https://hl7.org/fhir/R4/resource-operation-graphql.html
"""

from __future__ import annotations

from fhir_server.fhir.entry import EntryResponse
from fhir_server.interactions.context import Context
from fhir_server.interactions.graphql import asked
from fhir_server.interactions.operations.operation import Call


async def run(ctx: Context, call: Call) -> EntryResponse:
    # Here, so that who never asks does not pay for the engine.
    from fhir_server.interactions.graphql.answer import answer

    wanted = asked.read(call.entry)
    instance = None
    if call.resource_id:
        instance = (await ctx.repo.current(call.resource_type, call.resource_id)).resource()
    return EntryResponse(200, await answer(ctx, wanted, instance), media_type="application/json")
