"""consent: what an application asks for in plain words, and what of it a person gives.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html, https://hl7.org/fhir/us/core/STU6.1/scopes.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fhir_server.access import roles, words
from fhir_server.access.scopes import ANY, PLAIN, Scope, Scopes
from fhir_server.auth.authorization import Pending
from fhir_server.auth.pages.asking import answer, asking, authorizations, chosen, refusal
from fhir_server.auth.pages.choosing import patient_of
from fhir_server.auth.pages.forms import received
from fhir_server.auth.pages.labels import name_of
from fhir_server.auth.pages.page import PageRoute, show, to, visit_of
from fhir_server.auth.person import Person
from fhir_server.auth.recorded import note
from fhir_server.auth.refusal import Refused
from fhir_server.auth.sessions import Visit

router = APIRouter(prefix="/auth/{tenant}", route_class=PageRoute, include_in_schema=False)

CONTEXT = frozenset({"launch", "launch/patient", "launch/encounter"})
"""Given with the choice of a patient or a visit, which the person has made already."""
LASTING = "offline_access"
NOTHING = "Choose at least one thing that the application may do, or refuse."


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that may be given or not, whole or in parts."""

    value: str
    label: str
    parts: tuple[tuple[str, str], ...] = ()


@router.get("/consent")
async def consent(tenant: str, request: Request) -> Response:
    """Asked for every request: what was given before says nothing about what is asked for now."""
    visit = await visit_of(request, tenant)
    pending = await asking(request, visit, request.query_params.get("request", ""))
    if _unchosen(visit, pending):
        return to("continue", pending.id)
    return await _asking(request, visit, pending)


@router.post("/consent")
async def consented(tenant: str, request: Request) -> Response:
    form = await received(request, tenant)
    pending = await asking(request, form.visit, form["request"])
    person, choice = form.visit.person, chosen(form.visit, pending)
    note(request, user=form.visit.user, client=pending.client_id)
    if form["decision"] != "allow" or person is None:
        note(request, outcome="4", described="refused by the person")
        return await answer(request, pending, "access_denied")
    if _unchosen(form.visit, pending):
        return to("continue", pending.id)
    given = granted(permitted(pending.scopes, person), form.all("scope"))
    if not set(given) - CONTEXT:
        return await _asking(request, form.visit, pending, ticked=form.all("scope"), error=NOTHING)
    patient, encounter = choice.get("patient"), choice.get("encounter") or None
    whose = pending.patient or patient
    note(request, details=(("scope", " ".join(given)),), patients=(whose,) if whose else None)
    try:
        location = await authorizations(request).approve(pending, person, given, patient, encounter)
    except Refused as problem:
        return refusal(problem)
    return RedirectResponse(location, 303, {"Cache-Control": "no-store"})


def permitted(asked: Sequence[str], person: Person) -> list[str]:
    """What of it the person could do without an application; a wildcard stays one, since tokens carry the roles too."""
    role = roles.scopes_of(person.roles)
    found: list[str] = []
    for each in asked:
        one = Scopes.parse(each)
        narrowed = roles.narrowed(one, one, role).resources
        whole = each in PLAIN or narrowed == one.resources or (narrowed and one.resources[0].resource_type == ANY)
        found.extend([each] if whole else map(str, narrowed))
    return found


def granted(asked: Sequence[str], ticked: Iterable[str]) -> list[str]:
    """Of what was asked for, whole or narrowed to categories, what is ticked; nothing else, whatever a form says."""
    wanted = set(ticked)
    found: list[str] = []
    for each in asked:
        parts = [value for value, _ in _parts(each) if value in wanted]
        found.extend([each] if each in CONTEXT or each in wanted else parts)
    return found


def offers(asked: Sequence[str]) -> tuple[list[Offer], list[Offer]]:
    """What is about the person and the connection, and what is about resources."""
    plain = [Offer(each, words.plain(each)) for each in asked if each in PLAIN - CONTEXT]
    scopes = Scopes.parse(" ".join(each for each in asked if each not in PLAIN))
    written = [each for each in asked if each not in PLAIN]
    about = [
        Offer(text, words.sentence(scope), tuple(_parts(text)))
        for text, scope in zip(written, scopes.resources, strict=True)
    ]
    return plain, sorted(about, key=lambda each: Scope.parse(each.value).resource_type)


def _parts(asked: str) -> list[tuple[str, str]]:
    """The scope narrowed to each of its categories."""
    if asked in PLAIN:
        return []
    scope = Scope.parse(asked)
    return [(str(replace(scope, criteria=query)), label) for query, label in words.categories(scope)]


def _unchosen(visit: Visit, pending: Pending) -> bool:
    return pending.needs_patient and "patient" not in chosen(visit, pending)


async def _asking(
    request: Request, visit: Visit, pending: Pending, *, ticked: Sequence[str] | None = None, error: str | None = None
) -> Response:
    plain, about = offers(permitted(pending.scopes, visit.person) if visit.person else ())
    patient_id = pending.patient or chosen(visit, pending).get("patient")
    patient = await patient_of(request, visit, patient_id) if patient_id else None
    return show(
        request,
        visit,
        "consent",
        status=400 if error else 200,
        leads_to=pending.redirect_uri,
        errors={"scopes": error} if error else {},
        authorization=pending.id,
        client=pending.client_name,
        person=visit.person,
        patient=name_of(patient) if patient else None,
        may_change=pending.needs_patient,
        plain=plain,
        about=about,
        ticked=[each.value for each in (*plain, *about)] if ticked is None else ticked,
        lasting=LASTING in pending.scopes,
    )
