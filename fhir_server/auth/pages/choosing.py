"""continue, patient, encounter: what an application needs to know before a person can consent.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#requesting-context-with-scopes
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth import acting
from fhir_server.auth.authorization import Pending
from fhir_server.auth.pages.asking import asking, choose, chosen
from fhir_server.auth.pages.forms import received
from fhir_server.auth.pages.labels import encounter_label, patient_label
from fhir_server.auth.pages.page import PageRoute, Problem, show, store_of, to, visit_of
from fhir_server.auth.person import Person
from fhir_server.auth.recorded import note
from fhir_server.auth.sessions import Visit
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.resource import Resource
from fhir_server.search import registry
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan

router = APIRouter(prefix="/auth/{tenant}", route_class=PageRoute, include_in_schema=False)

SHOWN = 20
NOT_YOURS = "Choose one of the patients that are listed."
NOBODY = "You may not see patients here, so you cannot choose one for an application."


@router.get("/continue")
async def go_on(tenant: str, request: Request) -> Response:
    """The page that comes next."""
    visit, authorization = await visit_of(request, tenant), request.query_params.get("request", "")
    if visit.missing:
        return to(visit.missing, authorization)
    pending = await asking(request, visit, authorization)
    choice = chosen(visit, pending)
    if pending.needs_patient and "patient" not in choice:
        return to("patient", pending.id)
    if pending.needs_encounter and "encounter" not in choice and (pending.patient or choice.get("patient")):
        return to("encounter", pending.id)
    return to("consent", pending.id)


@router.get("/patient")
async def patient(tenant: str, request: Request) -> Response:
    visit = await visit_of(request, tenant)
    pending = await asking(request, visit, request.query_params.get("request", ""))
    return await _patients(request, visit, pending, {})


@router.post("/patient")
async def patient_chosen(tenant: str, request: Request) -> Response:
    """What somebody searches for is sent as a form: a name in an address would be kept in places."""
    form = await received(request, tenant)
    pending = await asking(request, form.visit, form["request"])
    if not form["patient"]:
        return await _patients(request, form.visit, pending, {"name": form["name"], "birthdate": form["birthdate"]})
    found = await patient_of(request, form.visit, form["patient"])
    if found is None:
        return await _patients(request, form.visit, pending, {}, error=NOT_YOURS)
    return await choose(request, form.visit, pending, patient=form["patient"])


@router.get("/encounter")
async def encounter(tenant: str, request: Request) -> Response:
    visit = await visit_of(request, tenant)
    pending = await asking(request, visit, request.query_params.get("request", ""))
    return await _encounters(request, visit, pending)


@router.post("/encounter")
async def encounter_chosen(tenant: str, request: Request) -> Response:
    form = await received(request, tenant)
    pending = await asking(request, form.visit, form["request"])
    listed = await _listed_encounters(request, form.visit, pending)
    if form["encounter"] and form["encounter"] not in {each["id"] for each in listed}:
        return await _encounters(request, form.visit, pending, error="Choose one of the visits that are listed.")
    return await choose(request, form.visit, pending, encounter=form["encounter"])


async def patient_of(request: Request, visit: Visit, resource_id: str) -> Resource | None:
    """A patient whom the person of this visit may choose; there is no other."""
    person = visit.person
    found = await acting.patient_of(store_of(request), visit.tenant, person, resource_id) if person else None
    if found is not None:
        note(request, user=visit.user, patients=(resource_id,))
    return found


async def _patients(
    request: Request, visit: Visit, pending: Pending, asked: dict[str, str], *, error: str | None = None
) -> Response:
    person = visit.person
    if person is None:
        return to("sign-in", pending.id)
    errors = {"patient": error} if error else {}
    found: Sequence[Resource] | None = None
    try:
        seen = await acting.repository_of(store_of(request), visit.tenant, person)
        few = seen.confined(("Patient",)) or acting.limited_to(person) is not None
        if few or any(asked.values()):
            found = await _searched(request, visit, person, asked)
            note(request, user=visit.user, patients=tuple(each["id"] for each in found[:SHOWN]))
    except FhirError as problem:
        if problem.status >= 500:
            raise
        if problem.status == 403:
            raise Problem(403, "No patients for you", NOBODY) from problem
        errors = {"birthdate" if asked.get("birthdate") else "name": "This cannot be searched for as it is written."}
    return show(
        request,
        visit,
        "patient",
        status=400 if errors else 200,
        leads_to=pending.redirect_uri,
        errors=errors,
        authorization=pending.id,
        client=pending.client_name,
        asked={"name": "", "birthdate": "", **asked},
        patients=None if found is None else [(each["id"], patient_label(each)) for each in found[:SHOWN]],
        more=found is not None and len(found) > SHOWN,
    )


async def _searched(request: Request, visit: Visit, person: Person, asked: dict[str, str]) -> Sequence[Resource]:
    """One more than is shown, so that it is known whether there are more."""
    given = [(name, value.strip()) for name, value in asked.items() if value.strip()]
    limits = acting.limited_to(person)
    if limits == ():
        return []
    mine = [("_id", ",".join(limits))] if limits else []
    return await _search(request, visit, person, "Patient", [*given, *mine, ("_count", str(SHOWN + 1))])


async def _encounters(request: Request, visit: Visit, pending: Pending, *, error: str | None = None) -> Response:
    listed = await _listed_encounters(request, visit, pending)
    return show(
        request,
        visit,
        "encounter",
        status=400 if error else 200,
        leads_to=pending.redirect_uri,
        errors={"encounter": error} if error else {},
        authorization=pending.id,
        client=pending.client_name,
        encounters=[(each["id"], encounter_label(each)) for each in listed],
    )


async def _listed_encounters(request: Request, visit: Visit, pending: Pending) -> Sequence[Resource]:
    """The latest of the patient's."""
    person, patient_id = visit.person, pending.patient or chosen(visit, pending).get("patient")
    if person is None or patient_id is None:
        return []
    note(request, user=visit.user, patients=(patient_id,))
    query = [("patient", patient_id), ("_sort", "-date"), ("_count", str(SHOWN))]
    try:
        return await _search(request, visit, person, "Encounter", query)
    except FhirError as problem:
        if problem.status == 403:
            return []
        raise


async def _search(
    request: Request, visit: Visit, person: Person, resource_type: str, query: Sequence[tuple[str, str]]
) -> Sequence[Resource]:
    repository = await acting.repository_of(store_of(request), visit.tenant, person)
    with registry.using(repository.tenant.own):
        asked = parse((resource_type,), list(query), lenient=False, base="")
        page = await repository.search(plan(asked, confined=repository.confined((resource_type,))))
    return [each.resource() for each in page.versions]
