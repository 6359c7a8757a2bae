"""A hint that breaking the glass would show more, for those who may: to anybody else it would tell what is hidden.

https://hl7.org/fhir/R4/security.html#break-the-glass
"""

from __future__ import annotations

from typing import Final

from fhir_server.access import break_glass
from fhir_server.access.caller import BREAK_GLASS
from fhir_server.fhir.outcome import Issue
from fhir_server.interactions.context import Context
from fhir_server.search.page import Position
from fhir_server.search.plan import plan
from fhir_server.search.query import Query

ABOUT_ONE: Final = frozenset({"patient", "subject", "beneficiary", "identifier", "_id"})
"""Parameters of searches that are about somebody: whoever looks through all patients has no emergency."""

HINT: Final = Issue(
    "suppressed",
    "Something is not shown here that can be opened in an emergency: POST /auth/{tenant}/break-glass.",
    severity="information",
    coding=("http://terminology.hl7.org/CodeSystem/v3-ActReason", "ETREAT"),
)


async def told(ctx: Context, query: Query, reached: Position | None) -> list[Issue]:
    """With the first page of a search about somebody."""
    policy = ctx.setting("break_glass")
    names = {name.partition(":")[0].partition(".")[0] for name, _ in query.applied}
    beside = reached is not None or query.counts_only or query.contained != "false"
    if not ctx.repo.tenant.guards or beside or names.isdisjoint(ABOUT_ONE):
        return []
    caller = ctx.repo.caller
    if policy == break_glass.OFF or caller.purpose == BREAK_GLASS or not break_glass.eligible(caller.roles):
        return []
    return [HINT] if await ctx.repo.suppresses(plan(query), break_glass.opened(policy)) else []
