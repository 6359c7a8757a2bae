"""What one person shares with another: seen as far as it goes, and not a request longer than it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.grant import LEVELS
from fhir_server.store.features import FeatureRecords
from fhir_server.store.shares import Shares
from tests.conformance.site import Site

_numbers = count(1)
ME, MINE, THEIRS = "Person/me", "mine", "theirs"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
CONSENT = {
    "resourceType": "Consent",
    "id": "c1",
    "status": "active",
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
    "patient": {"reference": f"Patient/{THEIRS}"},
    "policyRule": {"text": "x"},
}
ACCOUNT = {"resourceType": "accounts/user", "id": "u1", "username": "me", "person": ME}
GRANT = {
    "resourceType": "sharing/grant",
    "id": "g1",
    "subject": f"Patient/{THEIRS}",
    "grantee": "accounts/user/u1",
    "level": "view",
    "active": True,
    "consent": "Consent/c1",
}


class Home:
    """A tenant with two patients; one of them is whoever asks, by a token that is issued once."""

    def __init__(self, site: Site, name: str, token: str) -> None:
        self.site, self.name, self.token = site, name, token

    async def records(self, *records: dict[str, Any]) -> None:
        store = self.site.app.state.store
        await FeatureRecords(store, await store.tenants.get(self.name)).put(records)

    async def granted(self, **more: Any) -> None:
        await self.records(ACCOUNT, {**GRANT, **more})

    async def status(self, request: str, token: str | None = None, **more: Any) -> int:
        return (await self.site.by_http(self.name, token or self.token, {"request": request, **more})).status


@pytest.fixture
async def home(site: Site) -> Home:
    name = f"shares{next(_numbers)}"
    store = site.app.state.store
    await store.tenants.create(name)
    repository = store.repository(await store.tenants.get(name), Caller.system(name, "test"))
    patients = [{"resourceType": "Patient", "id": each} for each in (MINE, THEIRS)]
    about = [{**OBSERVATION, "id": f"o-{each}", "subject": {"reference": f"Patient/{each}"}} for each in (MINE, THEIRS)]
    goal = {"resourceType": "Goal", "id": "g-theirs", "subject": {"reference": f"Patient/{THEIRS}"}}
    family = [
        {"resourceType": "FamilyMemberHistory", "id": each, "patient": {"reference": f"Patient/{THEIRS}"}}
        for each in ("aunt", "uncle")
    ]
    await repository.put_many([*patients, *about, goal, *family, CONSENT])
    person = {"roles": ["record-keeper"], "patients": [MINE], "fhirUser": ME}
    return Home(site, name, await site.token(name, "user/*.cruds", person=person))


async def test_without_a_share_only_the_own_record_is_seen(home: Home) -> None:
    assert await home.status("GET Observation/o-mine") == 200
    assert await home.status("GET Observation/o-theirs") == 404
    assert await home.status("GET Patient/theirs") == 404


async def test_a_share_begins_and_ends_at_once(home: Home) -> None:
    await home.granted()
    assert await home.status("GET Observation/o-theirs") == 200
    await home.granted(active=False)
    assert await home.status("GET Observation/o-theirs") == 404
    await home.granted()
    assert await home.status("GET Observation/o-theirs") == 200


async def test_whoever_may_change_the_consent_takes_the_share_back(home: Home) -> None:
    await home.granted()
    theirs = await home.site.token(home.name, "user/*.cruds", person={"roles": ["record-keeper"], "patients": [THEIRS]})
    assert await home.status("GET Observation/o-theirs") == 200
    assert await home.status("PUT Consent/c1", theirs, body={**CONSENT, "status": "inactive"}) == 200
    assert await home.status("GET Observation/o-theirs") == 404
    assert await home.status("PUT Consent/c1", theirs, body=CONSENT) == 200
    assert await home.status("GET Observation/o-theirs") == 200
    assert await home.status("DELETE Consent/c1", theirs) == 204
    assert await home.status("GET Observation/o-theirs") == 404


async def test_a_share_to_see_is_none_to_change(home: Home) -> None:
    await home.granted()
    changed = {**OBSERVATION, "id": "o-theirs", "subject": {"reference": f"Patient/{THEIRS}"}, "language": "en"}
    assert await home.status("PUT Observation/o-theirs", body=changed) == 403
    await home.granted(level="edit")
    assert await home.status("PUT Observation/o-theirs", body=changed) == 200
    assert await home.status("DELETE Observation/o-theirs") == 204
    assert await home.status("GET Observation/o-theirs") == 200
    await home.granted(level="full")
    assert await home.status("DELETE Observation/o-theirs") == 204
    assert await home.status("GET Observation/o-theirs") == 410


async def test_a_share_of_some_types(home: Home) -> None:
    await home.granted(permissions={"resource_types": ["Goal"], "export": False})
    assert await home.status("GET Goal/g-theirs") == 200
    assert await home.status("GET Observation/o-theirs") == 404


async def test_a_share_of_one_relative(home: Home) -> None:
    await home.granted(subject="FamilyMemberHistory/aunt", consent=None)
    assert await home.status("GET FamilyMemberHistory/aunt") == 200
    assert await home.status("GET FamilyMemberHistory/uncle") == 404
    assert await home.status("GET Patient/theirs") == 404


async def test_the_owner_of_a_record_may_do_everything_with_it(home: Home) -> None:
    await home.records({"resourceType": "sharing/owner", "id": "w1", "patient": f"Patient/{THEIRS}", "owner": ME})
    assert await home.status("DELETE Goal/g-theirs") == 204
    assert await home.status("GET Goal/g-theirs") == 410


async def test_an_invitation_gives_nothing(home: Home) -> None:
    invitation = {"resourceType": "sharing/invitation", "id": "i1", "kind": "patient_share", "status": "accepted"}
    await home.records(ACCOUNT, {**invitation, "recipient": "accounts/user/u1"})
    assert await home.status("GET Observation/o-theirs") == 404


async def test_a_token_for_a_shared_patient_ends_with_the_share(home: Home) -> None:
    person = {"roles": ["record-keeper"], "patients": [MINE], "fhirUser": ME}
    token = await home.site.token(home.name, "patient/*.rs", patient=THEIRS, person=person)
    assert await home.status("GET Observation/o-theirs", token) == 404
    await home.granted()
    assert await home.status("GET Observation/o-theirs", token) == 200
    assert await home.status("GET Observation/o-mine", token) == 404
    await home.granted(active=False)
    assert await home.status("GET Observation/o-theirs", token) == 404


async def test_a_share_is_for_one_person_in_one_tenant(home: Home, site: Site) -> None:
    await home.granted()
    other = {"roles": ["record-keeper"], "patients": [MINE], "fhirUser": "Person/other"}
    assert await home.status("GET Observation/o-theirs", await site.token(home.name, "user/*.rs", person=other)) == 404
    staff = {"roles": ["billing"], "fhirUser": ME}
    assert await home.status("GET Observation/o-theirs", await site.token(home.name, "user/*.rs", person=staff)) == 403


TIMES = {
    None: True,
    "2026-01-01T00:00:01Z": True,
    "2026-01-01T01:00:01+01:00": True,
    "2026-01-01T00:00:00Z": False,
    "2025-12-31T23:59:59Z": False,
    "some day": False,
}


@pytest.mark.parametrize(("expires", "holds"), TIMES.items())
async def test_a_share_ends_when_it_says_so(home: Home, expires: str | None, holds: bool) -> None:
    await home.granted(expires=expires)
    store = home.site.app.state.store
    caller = Caller.person(home.name, "s", ("guest",), fhir_user=ME)
    shares = Shares(store, clock=lambda: NOW)
    found = await shares.of(await store.tenants.get(home.name), caller)
    assert [(each.resource_id, each.rights) for each in found] == [(THEIRS, LEVELS["view"])] * holds


async def test_what_was_decided_is_remembered_as_long_as_nothing_changes(home: Home) -> None:
    store = home.site.app.state.store
    tenant = await store.tenants.get(home.name)
    shares = Shares(store, clock=lambda: NOW - timedelta(days=1))
    caller = Caller.person(home.name, "s", ("guest",), fhir_user=ME)
    assert await shares.applied(tenant, caller) is caller
    await home.granted()
    shared = await shares.applied(tenant, caller)
    assert shared is not caller
    assert await shares.applied(tenant, caller) is shared
    await home.granted(level="edit")
    assert await shares.applied(tenant, caller) is not shared
