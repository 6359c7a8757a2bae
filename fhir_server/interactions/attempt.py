"""One attempt of a transaction: everything is read and written inside it, and nothing outside is changed.
https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from fhir_server.access.right import Right
from fhir_server.fhir import bundle
from fhir_server.fhir.entry import EntryResponse
from fhir_server.fhir.outcome import FhirError, error
from fhir_server.fhir.resource import Resource
from fhir_server.interactions import answers, bundled, conditions, delete, identities, integrity, patch, update
from fhir_server.interactions.context import Context
from fhir_server.interactions.identities import Identity
from fhir_server.interactions.links import Links, Target
from fhir_server.interactions.pace import paced
from fhir_server.interactions.references import expression_of
from fhir_server.interactions.steps import Step, located

Key = tuple[str, str]


class Attempt:
    """The answers so far, by the place of their entry, and what the links in the Bundle stand for."""

    def __init__(self, ctx: Context, steps: Sequence[Step]) -> None:
        self._ctx = ctx
        self._steps = steps
        self._answers: dict[int, EntryResponse] = {}
        self._known: dict[str, Target] = {}
        self._pointed_to: dict[Key, tuple[Step, str]] = {}

    async def run(self) -> list[EntryResponse]:
        """Of every entry, in the order of the request."""
        await self._ctx.repo.prefetch(self._changed())
        deleted = await self._delete()
        found = await identities.of_steps(self._ctx, self._steps)
        identities.refuse_overlap(deleted, found)
        self._known = identities.by_full_url(found)
        await self._write([each for each in found if each.written])
        self._answer_unwritten(found)
        await self._check_references(found)
        await self._read()
        return [self._answers[place] for place in range(len(self._steps))]

    def _changed(self) -> list[Key]:
        """What is deleted and updated by its id; a caller that may only delete has it read one by one."""
        by_id = [
            step
            for step in self._steps
            if step.processed_as in ("DELETE", "PUT", "PATCH") and "resource_id" in step.path
        ]
        types = {step.resource_type for step in by_id}
        updatable = {each for each in types if integrity.permitted(self._ctx, each, Right.UPDATE)}
        return [(each.resource_type, each.path["resource_id"]) for each in by_id if each.resource_type in updatable]

    def _of(self, method: str) -> list[Step]:
        return [step for step in self._steps if step.processed_as == method]

    async def _delete(self) -> list[tuple[Step, str]]:
        """Each deletion with the id of what it was about; by criteria there may be several."""
        done: list[tuple[Step, str]] = []
        for step in self._of("DELETE"):
            with located(step):
                ids = await self._deleted_by(step)
                answer = await delete.each(self._ctx, step.request, step.resource_type, ids)
            self._answers[step.place] = answer
            done += [(step, resource_id) for resource_id in ids]
        return done

    async def _deleted_by(self, step: Step) -> list[str]:
        if "resource_id" in step.path:
            return [step.path["resource_id"]]
        return await delete.identified(self._ctx, step.request, step.resource_type)

    async def _read(self) -> None:
        for step in self._of("GET"):
            with located(step):
                answer = await self._ctx.perform(self._ctx, step.request)
            self._answers[step.place] = bundled.without_body_for_head(step.request, answer)

    async def _write(self, waiting: list[Identity]) -> None:
        """Resources without conditional references first, since those may be meant by the others' criteria."""
        while waiting:
            later = [(each, links) async for each in paced(waiting) if (links := await self._written(each)).conditional]
            texts = {text: each.step for each, links in later for text in links.conditional}
            resolved = [await self._resolve(text, step) for text, step in texts.items()]
            if later and not any(resolved):
                raise _no_match(*next(iter(texts.items())))
            waiting = [each for each, _ in later]

    async def _written(self, identity: Identity) -> Links:
        """Stores the resource, unless a conditional reference in it is still open."""
        step = identity.step
        links = Links(self._ctx.base, self._known, step.request.full_url, bundled=True)
        with located(step):
            before, brought = await self._brought(identity)
            resource = integrity.linked(brought, links)
            if not links.conditional:
                self._answers[step.place] = await self._store(identity, resource)
        for key in links.local.keys() - integrity.local(self._ctx, before):
            self._pointed_to.setdefault(key, (step, links.local[key]))
        return links

    async def _brought(self, identity: Identity) -> tuple[Resource | None, Resource]:
        """What is to be stored; before it, of a patch, what is stored now."""
        step, target = identity.step, identity.target
        if step.processed_as != "PATCH":
            return None, _resource(step)
        changes = patch.received(step.request)
        return await patch.result(self._ctx, step.request, changes, (target.resource_type, target.resource_id))

    async def _store(self, identity: Identity, resource: Resource) -> EntryResponse:
        request, resource_id = identity.step.request, identity.target.resource_id
        if identity.target.created:
            return answers.written(request, 201, await self._ctx.repo.create(resource, resource_id=resource_id))
        if request.method == "PATCH":
            return await patch.stored(self._ctx, request, resource)
        return await update.stored(self._ctx, request, {**resource, "id": resource_id})

    async def _resolve(self, text: str, step: Step) -> bool:
        """A conditional reference, looked up inside the transaction; exactly one resource must match."""
        resource_type = text.partition("?")[0]
        with located(step):
            existing = await conditions.match(self._ctx, resource_type, conditions.of_text(text, resource_type))
        if existing is not None:
            self._known[text] = Target(existing.resource_type, existing.resource_id)
        return existing is not None

    def _answer_unwritten(self, found: list[Identity]) -> None:
        for each in found:
            if each.existing is not None:
                self._answers[each.step.place] = answers.written(each.step.request, 200, each.existing)
        for each in found:
            if each.twin is not None:
                self._answers[each.step.place] = replace(self._answers[each.twin.place], status=200)

    async def _check_references(self, found: list[Identity]) -> None:
        if not integrity.enforced(self._ctx):
            return
        here = {(each.target.resource_type, each.target.resource_id) for each in found}
        for absent in await integrity.missing(self._ctx, self._pointed_to.keys() - here):
            step, text = self._pointed_to[absent]
            with located(step):
                raise integrity.nowhere(_resource(step), text)


def _resource(step: Step) -> Resource:
    return step.request.resource or {}


def _no_match(text: str, step: Step) -> FhirError:
    problem = error(
        "not-found",
        f"Nothing matches the conditional reference '{text}'.",
        status=412,
        expression=expression_of(_resource(step), text),
    )
    return bundle.located(problem, step.place)
