"""What of the scopes that are asked for is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.right import Right
from fhir_server.access.scopes import InvalidScope, Scope, Scopes
from fhir_server.auth.narrowing import within

LAB = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


@pytest.mark.parametrize(
    ("asked", "allowed", "expected"),
    [
        ("patient/*.rs", "patient/*.rs", "patient/*.rs"),
        ("patient/*.read", "patient/*.cruds", "patient/*.read"),
        ("patient/*.*", "patient/*.rs", "patient/*.rs"),
        ("patient/*.cruds", "patient/Patient.rs patient/Observation.cu", "patient/Patient.rs patient/Observation.cu"),
        ("patient/Patient.r", "user/Patient.r", ""),
        ("patient/Patient.r", "patient/Patient.s", ""),
        ("patient/Observation.rs", f"patient/Observation.rs?{LAB}", f"patient/Observation.rs?{LAB}"),
        (f"patient/Observation.rs?{LAB}", "patient/*.rs", f"patient/Observation.rs?{LAB}"),
        (f"patient/Observation.rs?{LAB}", "patient/*.rs?x", ""),
        ("openid offline_access profile email", "openid profile", "openid profile"),
        ("patient/*.rs patient/*.rs", "patient/*.rs", "patient/*.rs"),
    ],
)
def test_what_both_allow(asked: str, allowed: str, expected: str) -> None:
    assert " ".join(within(asked.split(), allowed)) == expected


def test_criteria_of_both_hold_together() -> None:
    (found,) = within([f"patient/Observation.rs?{LAB}"], "patient/Observation.rs?status=final")
    assert found == f"patient/Observation.rs?{LAB}&status=final"
    assert Scope.parse(found)


@pytest.mark.parametrize("word", ["patient/Foo.r", "patient/Observation.sr", "patient/*.*?code=x", "*/*.*"])
def test_what_cannot_be_given_at_all_is_said(word: str) -> None:
    with pytest.raises(InvalidScope):
        within([word], "patient/*.cruds")


contexts = st.sampled_from(["patient", "user", "system"])
types = st.sampled_from(["*", "Patient", "Observation"])
rights = st.sets(st.sampled_from(list(Right)), min_size=1).map(frozenset)
words = st.builds(lambda *parts: str(Scope(*parts)), contexts, types, rights)


@given(st.lists(words, max_size=4), st.lists(words, max_size=4))
def test_never_more_than_either(asked: list[str], allowed: list[str]) -> None:
    given_ = Scopes.parse(" ".join(within(asked, " ".join(allowed)))).resources
    for resource_type in ("Patient", "Observation", "Device"):
        for right in Right:
            for context in ("patient", "user", "system"):
                permitted = [
                    any(each.context == context and each.permits(resource_type, right) for each in scopes)
                    for scopes in (
                        given_,
                        Scopes.parse(" ".join(asked)).resources,
                        Scopes.parse(" ".join(allowed)).resources,
                    )
                ]
                assert permitted[0] == (permitted[1] and permitted[2])
