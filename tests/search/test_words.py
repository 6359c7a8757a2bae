"""Any condition on words is decided as Python would."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.outcome import FhirError
from fhir_server.search.match import matches
from fhir_server.search.types import words
from tests.search import naive

VOCABULARY = ("bone", "liver", "Ménière", "follow-up", "5", "spine")

conditions = st.recursive(
    st.sampled_from(VOCABULARY),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" and ", " OR ", " "]), inner).map("".join),
        inner.map(lambda each: f"not ({each})"),
        inner.map(lambda each: f"({each})"),
    ),
    max_leaves=4,
)
texts = st.lists(st.sampled_from([*VOCABULARY, "BONE", "meniere", "up"]), max_size=5).map(" ".join)


@given(conditions, texts, texts, st.sampled_from(["_text", "_content"]))
def test_conditions(condition: str, narrative: str, noted: str, code: str) -> None:
    resource = {
        "resourceType": "Basic",
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{narrative}</div>'},
        "code": {"text": noted},
    }
    wanted = words.wanted(code, [condition])
    assert matches({"txt": words.entries(resource)}, wanted) == naive._worded(resource, code, condition)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with suppress(FhirError):
        assert words.wanted("_text", [text])


def test_too_many_words() -> None:
    with pytest.raises(FhirError, match="different words"):
        words.entries({"resourceType": "Basic", "code": {"text": " ".join(map(str, range(words.MOST // 10)))}})
