"""Resources against profiles, with the definitions and the targets of references fetched as the check asks for them.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from fhir_server.fhir.outcome import FhirError, Issue, not_supported
from fhir_server.fhir.profiles import validation
from fhir_server.fhir.profiles.checking import Check
from fhir_server.fhir.profiles.library import is_core
from fhir_server.fhir.resource import LOCAL_REFERENCE, Resource
from fhir_server.interactions.context import Context

ROUNDS: Final = 40
"""A definition may name others, and those again others; so often what is missing is fetched."""


async def check(ctx: Context, resource: Resource, asked: Iterable[str] = ()) -> Check:
    """What is found about a resource whose structure is right."""
    library = await ctx.repo.library()
    targets: dict[str, Resource | None] = {}
    for _ in range(ROUNDS):
        found = validation.check(library, resource, asked, targets)
        missed = found.missed - targets.keys()
        if not library.wanted and not missed:
            break
        await ctx.repo.fill(library)
        targets |= {text: await _target(ctx, text) for text in sorted(missed)}
    return found


async def _target(ctx: Context, text: str) -> Resource | None:
    """What a reference leads to, if it is here and the caller may read it."""
    local = LOCAL_REFERENCE.match(text.removeprefix(f"{ctx.base}/"))
    if local is None:
        return None
    try:
        return (await ctx.repo.current(local[1], local[2])).resource()
    except FhirError:
        return None


async def kept(ctx: Context, resource: Resource) -> Resource:
    """The resource of a write, which keeps the profiles that it claims where the tenant wants that; else 422."""
    wanted = ctx.setting("validate_profiles")
    if wanted != "off" and _claims(resource):
        if wanted == "known":
            await _refuse_unknown(ctx, resource)
        found = (await check(ctx, resource)).findings
        if found.is_refused:
            raise FhirError([each.issue() for each in found.faults.values()], status=422)
    return resource


def _claims(resource: Resource) -> bool:
    return bool(validation.claimed(resource) or resource.get("contained") or resource["resourceType"] == "Bundle")


async def _refuse_unknown(ctx: Context, resource: Resource) -> None:
    for at, part in _parts(resource, resource["resourceType"]):
        for canonical in validation.claimed(part):
            if not await known(ctx, canonical):
                raise not_supported(
                    f"There is no profile '{canonical}' here, and this tenant takes no claim that cannot be checked.",
                    status=422,
                    expression=f"{at}.meta.profile",
                )


def _parts(resource: Resource, at: str) -> Iterator[tuple[str, Resource]]:
    """The resource, what it contains, and what the entries of a Bundle hold: all that may claim a profile."""
    yield at, resource
    for place, each in enumerate(resource.get("contained", ())):
        yield f"{at}.contained[{place}]", each
    if resource["resourceType"] == "Bundle":
        for place, entry in enumerate(resource.get("entry", ())):
            if "resource" in entry:
                yield from _parts(entry["resource"], f"{at}.entry[{place}].resource")


async def known(ctx: Context, canonical: str) -> bool:
    """Whether there is such a profile; FhirError where there is and it cannot be used."""
    library = await ctx.repo.library()
    while not is_core(canonical):
        found = library.profile(canonical)
        if found is not None or not library.wanted:
            return found is not None
        await ctx.repo.fill(library)
    return True


async def faults(ctx: Context, resource: Resource, asked: list[str]) -> list[Issue]:
    """For $validate: everything, with what could not be judged and what is not there though it should be supported."""
    found = await check(ctx, resource, asked)
    return [*found.findings.issues(), *(validation.must_support(found, asked) if asked else ())]
