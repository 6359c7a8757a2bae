"""The resources that a GraphDefinition leads to from one resource.  https://hl7.org/fhir/R4/graphdefinition.html

Followed are paths, reverse lookups, cardinalities, the links of targets, and the rules `identical`, `matching` and
`different` on compartments; slices, profiles and custom rules are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl

from fhir_server.fhir import fhirpath
from fhir_server.fhir.outcome import error, invalid, not_supported, too_costly
from fhir_server.fhir.references import written_in
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource
from fhir_server.fhir.version import Version
from fhir_server.interactions.context import Context
from fhir_server.interactions.operations.latest import everything
from fhir_server.search.index import COMPARTMENTS, index
from fhir_server.search.parse import parse
from fhir_server.search.values import escape

EVERY: Final = "*"
"""The path that stands for all references of a resource."""
REF: Final = "{ref}"
"""What stands for the resource that a reverse lookup starts from."""
MAX_NAMED: Final = 100


async def walked(ctx: Context, canonical: str, start: Version, most: int) -> list[Version]:
    """What the graph of this URL leads to, in its order, under the rights of the caller; at most so many steps."""
    graph = await _named(ctx, canonical)
    if graph["start"] != start.resource_type:
        raise invalid(f"The graph '{canonical}' starts at {graph['start']}, not at {start.resource_type}.")
    walk = _Walk(ctx, most)
    await walk.follow(start, graph.get("link", ()), "GraphDefinition.link")
    return walk.found


async def _named(ctx: Context, canonical: str) -> Resource:
    """Of this version, where the canonical names one; else the one that was changed last."""
    url, _, version = canonical.partition("|")
    asked = [("url", escape(url)), *([("version", escape(version))] if version else []), ("_sort", "-_lastUpdated")]
    found = await everything(ctx, parse(("GraphDefinition",), asked, lenient=False, base=ctx.base), MAX_NAMED)
    if not found:
        raise error("not-found", f"There is no GraphDefinition '{canonical}' on this server.", status=422)
    return found[0].resource()


class _Walk:
    def __init__(self, ctx: Context, most: int) -> None:
        self._ctx = ctx
        self._left = self._most = most
        self.found: list[Version] = []

    async def follow(self, focus: Version, links: Sequence[Resource], place: str) -> None:
        """The links of one node, and those of what they lead to."""
        for number, link in enumerate(links):
            _refuse("sliceName", link, f"{place}[{number}]")
            met = 0
            for count, target in enumerate(link.get("target", ())):
                where = f"{place}[{number}].target[{count}]"
                _refuse("profile", target, where)
                for version in await self._targets(focus, link, target, where):
                    self._step()
                    met += 1
                    _check_compartments(self._ctx, focus, version, target, where)
                    self.found.append(version)
                    await self.follow(version, target.get("link", ()), f"{where}.link")
            _check_number(focus, link, met, f"{place}[{number}]")

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise too_costly(f"The graph has more than {self._most:,} steps from here.")

    async def _targets(self, focus: Version, link: Resource, target: Resource, place: str) -> list[Version]:
        self._step()
        if "path" in link:
            return await self._referred(focus, link["path"], target["type"], place)
        return await self._looked_up(focus, target, place)

    async def _referred(self, focus: Version, path: str, wanted: str, place: str) -> list[Version]:
        """References of the path to this type; what the caller would not find is not there."""
        texts = dict.fromkeys(written_in(_values(focus, path, place)))
        local = (LOCAL_REFERENCE.match(text.removeprefix(f"{self._ctx.base}/")) for text in texts)
        keys = [(each[1], each[2]) for each in local if each is not None and each[1] == wanted]
        found = await self._ctx.repo.several(keys) if keys else {}
        return [found[key] for key in keys if key in found]

    async def _looked_up(self, focus: Version, target: Resource, place: str) -> list[Version]:
        """What refers to the resource, by a search."""
        params = target.get("params", "")
        if REF not in params:
            raise invalid(f"{place} has no path, so its 'params' must have {REF} as a value; they are '{params}'.")
        asked = parse_qsl(params.replace(REF, f"{focus.resource_type}/{focus.resource_id}"), keep_blank_values=True)
        query = parse((target["type"],), asked, lenient=False, base=self._ctx.base)
        return await everything(self._ctx, query, self._left + 1)


def _refuse(name: str, element: Resource, place: str) -> None:
    if name in element:
        raise not_supported(f"'{name}' of {place} is not supported.")


def _values(focus: Version, path: str, place: str) -> list[object]:
    resource = focus.resource()
    if path == EVERY:
        return [resource]
    try:
        return fhirpath.evaluated(path, resource, focus.resource_type, resource)
    except fhirpath.Unevaluable as problem:
        raise invalid(f"The path of {place} cannot be followed: {problem}") from problem


def _check_number(focus: Version, link: Resource, met: int, place: str) -> None:
    least, most = link.get("min", 0), link.get("max", "*")
    if met < least or (most.isdecimal() and met > int(most)):
        raise error(
            "business-rule",
            f"{place} leads from {focus.resource_type}/{focus.resource_id} to {met} resources, not to {least}..{most}.",
            status=422,
        )


def _check_compartments(ctx: Context, focus: Version, version: Version, target: Resource, place: str) -> None:
    """Requirements hold where all conditions do."""
    rules = target.get("compartment", ())
    if not all(_fits(ctx, each, focus, version, place) for each in rules if each["use"] == "condition"):
        return
    for rule in rules:
        if rule["use"] == "requirement" and not _fits(ctx, rule, focus, version, place):
            raise error(
                "business-rule",
                f"{version.resource_type}/{version.resource_id} is not in {rule['rule']} {rule['code']} compartments "
                f"as {focus.resource_type}/{focus.resource_id}, which {place} requires.",
                status=422,
            )


def _fits(ctx: Context, rule: Resource, focus: Version, version: Version, place: str) -> bool:
    """`matching` is read as having one in common."""
    if rule["rule"] == "custom" or rule["code"] not in COMPARTMENTS:
        raise not_supported(f"The rule '{rule['rule']}' on {rule['code']} compartments of {place} is not supported.")
    mine, other = (_compartments(ctx, each, rule["code"]) for each in (focus, version))
    return {"identical": mine == other, "matching": bool(mine & other), "different": not mine & other}[rule["rule"]]


def _compartments(ctx: Context, version: Version, code: str) -> frozenset[str]:
    found = index(version.resource(), ctx.base).compartments
    return frozenset(each for each in found if each.startswith(f"{code}/"))
