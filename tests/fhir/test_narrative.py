"""Narrative: what may be shown, and what is refused because it could run or load something."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.narrative import BARE_TAGS, problem
from tests.fhir.tables import cases

START = '<div xmlns="http://www.w3.org/1999/xhtml">'


@pytest.mark.parametrize("case", cases("narrative.yaml"))
def test_what_is_in_the_div(case: dict[str, Any]) -> None:
    found = problem(f"{START}{case['inside']}</div>")
    assert (found is None) is ("says" not in case)
    assert case.get("says", "") in (found or "")


@pytest.mark.parametrize(
    "text",
    [
        "text",
        "<p>text</p>",
        "<div>text</div>",
        '<div xmlns="http://example.org">text</div>',
        f"<!DOCTYPE div>{START}text</div>",
        f'<!DOCTYPE div [<!ENTITY x SYSTEM "file:///etc/passwd">]>{START}&x;</div>',
        f'<!DOCTYPE div [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>{START}&b;</div>',
        f"<?xml version='1.0'?>{START}text</div>",
        f"{START}text</div><script>1</script>",
        f"{START}<![CDATA[x]]><script>1</script></div>",
        f"{START}<!-- > --><script>1</script></div>",
        f"{START}<p title='>'><script>1</script></p></div>",
        1,
        None,
    ],
)
def test_what_is_no_narrative(text: object) -> None:
    assert problem(text) is not None


def test_single_quotes_around_the_namespace() -> None:
    assert problem("<div xmlns='http://www.w3.org/1999/xhtml'>text</div>") is None


PIECES = st.sampled_from(
    [*sorted(BARE_TAGS), "a", " ", "<script>", "</script>", '<p onclick="x">', "<!--", "-->", "<", ">", "&"]
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_no_script_gets_through_however_it_is_wrapped(inside: str) -> None:
    text = f"{START}{inside}</div>"
    if problem(text) is None:
        assert "<script>" not in _without_comments(text)
        assert "onclick" not in _without_comments(text)


def _without_comments(text: str) -> str:
    start, found, rest = text.partition("<!--")
    return start + _without_comments(rest.partition("-->")[2]) if found else start
