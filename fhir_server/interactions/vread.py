"""vread: one version of a resource.  https://hl7.org/fhir/R4/http.html#vread"""

from __future__ import annotations

from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.interactions import answers
from fhir_server.interactions.context import Context


async def run(
    ctx: Context, entry: EntryRequest, resource_type: str, resource_id: str, version_id: str
) -> EntryResponse:
    version = await ctx.repo.at(resource_type, resource_id, version_id)
    return answers.found(entry, version)
