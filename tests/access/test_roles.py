"""What a role, a client and a scope allow together.  https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html"""

from __future__ import annotations

from importlib.resources import files

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.caller import Caller
from fhir_server.access.clearance import Clearance
from fhir_server.access.grant import LEVELS, Grant
from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.access.roles import SYSTEM, known, narrowed, of_legacy, scopes_of
from fhir_server.access.scopes import ANY, CONTEXTS, Scope, Scopes
from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.outcome import FhirError
from fhir_server.search.index import index

TABLE = yaml.safe_load(files("fhir_server.access").joinpath("roles.yaml").read_text())
EVERYTHING = "patient/*.cruds user/*.cruds"
LABORATORY = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"

NARROWED = [
    ("patient/*.rs", "patient/*.rs", "user/*.rs", "patient/*.rs"),
    ("patient/*.cruds", "patient/*.rs", "user/*.crus", "patient/*.rs"),
    (
        "patient/*.rs",
        "patient/Observation.rs patient/Patient.r",
        "user/*.rs",
        "patient/Observation.rs patient/Patient.r",
    ),
    ("patient/*.rs", "patient/*.rs", "user/Observation.r", "patient/Observation.r"),
    ("user/*.rs", "patient/*.rs", "user/*.rs", ""),
    ("patient/*.rs", "user/*.rs", "user/*.rs", "patient/*.rs"),
    ("system/*.rs", "system/*.rs", "user/*.rs", ""),
    ("system/*.rs", "user/*.rs", "system/*.cruds", ""),
    ("user/*.rs", "system/*.cruds", "user/*.rs", ""),
    ("patient/Observation.rs", "patient/Condition.rs", "user/*.rs", ""),
    ("patient/Observation.c", "patient/Observation.rs", "user/*.cruds", ""),
    ("patient/Observation.rs?code=1", "patient/*.rs", "user/*.rs", "patient/Observation.rs?code=1"),
    ("patient/*.rs", "patient/Observation.rs?code=1", "user/*.rs", "patient/Observation.rs?code=1"),
    (
        "patient/Observation.rs?code=1",
        "patient/Observation.rs?category=a",
        "user/*.rs",
        "patient/Observation.rs?code=1&category=a",
    ),
    ("patient/Observation.rs?code=1", "patient/Observation.rs?code=1", "user/*.rs", "patient/Observation.rs?code=1"),
    ("patient/*.read", EVERYTHING, EVERYTHING, "patient/*.rs"),
    (
        "patient/*.rs patient/Observation.rs",
        "patient/*.rs",
        "user/*.rs",
        "patient/*.rs patient/Observation.rs",
    ),
    ("openid launch/patient offline_access", "openid launch/patient", EVERYTHING, "openid launch/patient"),
]


def caller(scope: str, *names: str, patients: tuple[str, ...] = (), grants: tuple[Grant, ...] = ()) -> Caller:
    scopes = Scopes.parse(scope).resources
    return Caller("acme", "s", "c", scopes, "p1", roles=names, patients=patients, grants=grants)


def permits(who: Caller, resource_type: str, subject: str, right: Right = Right.READ) -> bool:
    resource = {"resourceType": resource_type, "id": "o1", "subject": {"reference": f"Patient/{subject}"}}
    if resource_type == "FamilyMemberHistory":
        resource = {"resourceType": resource_type, "id": "o1", "patient": {"reference": f"Patient/{subject}"}}
    try:
        return restriction(who, resource_type, right).permits(resource_type, "o1", index(resource))
    except FhirError:
        return False


def test_every_type_is_in_one_group() -> None:
    grouped = [each for group in TABLE["types"].values() for each in group]
    assert sorted(grouped) == sorted(resource_types())


def test_every_role_is_made_of_known_groups_and_rights() -> None:
    assert {"patient", "physician", "nurse", "front-desk", "billing", "administrator", "privacy-officer"} <= set(
        known()
    )
    for role in known().values():
        assert role.scopes or role.clearance != Clearance()
        assert {each.context for each in role.scopes} <= {"user"}
        assert Scopes.parse(" ".join(map(str, role.scopes))).resources == role.scopes


@pytest.mark.parametrize(
    ("system", "table"),
    [
        ("pms", "pms-user-role"),
        ("emr", "emr-user-role"),
        ("hpms", "hpms-role"),
        ("ivr", "ivr-user-role"),
        ("mk", "mk-role-grants"),
    ],
)
def test_every_role_of_a_legacy_system_is_one_here(system: str, table: str) -> None:
    rows = yaml.safe_load(files("mappings").joinpath("maps", f"{table}.yaml").read_text())["rows"]
    named = {name for row in rows for name in row["source"]}
    assert named == set(TABLE["legacy"][system])
    assert all(of_legacy(system, name) in known() for name in named)
    assert of_legacy(system, "superuser") is None


@pytest.mark.parametrize(("asked", "registered", "role", "expected"), NARROWED)
def test_narrowed(asked: str, registered: str, role: str, expected: str) -> None:
    assert str(narrowed(Scopes.parse(asked), Scopes.parse(registered), Scopes.parse(role))) == expected


def test_a_backend_service_is_limited_by_its_registration_only() -> None:
    asked, registered = Scopes.parse("system/*.rs user/*.rs"), Scopes.parse("system/Patient.cruds user/*.rs")
    assert str(narrowed(asked, registered, SYSTEM)) == "system/Patient.rs"


scopes = st.lists(
    st.builds(
        Scope,
        context=st.sampled_from(CONTEXTS),
        resource_type=st.sampled_from([ANY, "Observation", "Patient"]),
        rights=st.frozensets(st.sampled_from(Right), min_size=1),
    ),
    max_size=4,
).map(lambda found: Scopes(tuple(found)))
REACH = {"patient": {"patient"}, "user": {"patient", "user"}, "system": {"system"}}


def reached(found: Scopes) -> set[tuple[str, str, Right]]:
    """Everything that scopes allow, on a type that they may name and on one that only `*` reaches."""
    return {
        (context, resource_type, right)
        for scope in found.resources
        for context in REACH[scope.context]
        for resource_type in ("Observation", "Patient", "Goal")
        for right in Right
        if scope.permits(resource_type, right)
    }


@given(scopes, scopes, scopes)
def test_nothing_is_ever_widened_and_nothing_common_is_lost(asked: Scopes, registered: Scopes, role: Scopes) -> None:
    allowed = reached(asked) & reached(registered) & reached(role)
    found = reached(narrowed(asked, registered, role))
    assert found <= allowed
    contexts = {scope.context for scope in asked.resources}
    assert {
        each for each in allowed if each[0] in contexts and (each[0] != "patient" or "user" not in contexts)
    } <= found


def test_a_role_limits_a_user_scope() -> None:
    billing = caller("user/*.cruds", "billing")
    assert restriction(billing, "Claim", Right.CREATE).filter == {}
    assert not permits(billing, "Observation", "p1")
    assert not permits(caller("user/*.cruds", "nobody-knows"), "Observation", "p1")
    assert not permits(caller("user/*.cruds"), "Observation", "p1")


def test_roles_add_up() -> None:
    assert restriction(caller("user/*.cruds", "billing", "nurse"), "Observation", Right.READ).filter == {}


def test_a_patients_own_role_reaches_the_own_record_only() -> None:
    own = caller("user/*.cruds", "patient", patients=("p1", "p2"))
    assert permits(own, "Observation", "p1")
    assert permits(own, "Observation", "p2")
    assert not permits(own, "Observation", "p3")
    assert not permits(own, "Observation", "p1", Right.UPDATE)
    assert restriction(own, "Practitioner", Right.READ).filter == {}
    assert permits(caller("user/*.cruds", "record-keeper", patients=("p1",)), "Observation", "p1", Right.UPDATE)


def test_the_patient_of_a_token_must_be_one_that_the_person_reaches() -> None:
    assert permits(caller("patient/*.rs", "patient", patients=("p1",)), "Observation", "p1")
    assert not permits(caller("patient/*.rs", "patient", patients=("p2",)), "Observation", "p1")
    assert not permits(caller("patient/*.rs", "patient"), "Observation", "p1")
    assert permits(caller("patient/*.rs", "physician"), "Observation", "p1")


def shared(level: str, resource: str = "Patient/p9", types: frozenset[str] | None = None) -> tuple[Grant, ...]:
    resource_type, _, resource_id = resource.partition("/")
    return (Grant(resource_type, resource_id, LEVELS.get(level, frozenset()), types),)


def test_what_is_shared_is_reached_as_far_as_its_level_and_the_role_go() -> None:
    assert permits(caller("user/*.cruds", "record-keeper", grants=shared("view")), "Observation", "p9")
    assert not permits(
        caller("user/*.cruds", "record-keeper", grants=shared("view")), "Observation", "p9", Right.UPDATE
    )
    assert permits(caller("user/*.cruds", "record-keeper", grants=shared("edit")), "Observation", "p9", Right.UPDATE)
    assert not permits(
        caller("user/*.cruds", "record-keeper", grants=shared("edit")), "Observation", "p9", Right.DELETE
    )
    assert permits(caller("user/*.cruds", "record-keeper", grants=shared("full")), "Observation", "p9", Right.DELETE)
    assert not permits(caller("user/*.cruds", "guest", grants=shared("full")), "Observation", "p9", Right.UPDATE)
    assert not permits(caller("user/*.cruds", "record-keeper", grants=shared("unheard")), "Observation", "p9")
    assert not permits(caller("user/Goal.cruds", "record-keeper", grants=shared("full")), "Observation", "p9")


def test_a_share_of_some_types_or_of_one_resource() -> None:
    goals = caller("user/*.rs", "guest", grants=shared("view", types=frozenset({"Goal"})))
    assert permits(goals, "Goal", "p9")
    assert not permits(goals, "Observation", "p9")
    member = caller("user/*.rs", "guest", grants=shared("view", "FamilyMemberHistory/o1"))
    assert permits(member, "FamilyMemberHistory", "p9")
    assert not permits(member, "Observation", "p9")
    another = caller("user/*.rs", "guest", grants=shared("view", "FamilyMemberHistory/o2"))
    assert not permits(another, "FamilyMemberHistory", "p9")


def test_a_person_who_is_signed_in_has_the_scopes_of_the_roles() -> None:
    someone = Caller.person("acme", "u1", ("front-desk",))
    assert restriction(someone, "Patient", Right.SEARCH).filter == {}
    assert not permits(someone, "Observation", "p1")
    assert scopes_of(["nobody-knows"]).resources == ()
