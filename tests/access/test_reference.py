"""The page about scopes says what the server does."""

from __future__ import annotations

from pathlib import Path

from fhir_server.access.reference import page

PAGE = Path(__file__).parent.parent.parent / "docs" / "scopes.md"


def test_the_page_is_the_one_that_is_written_from_the_tables() -> None:
    assert PAGE.read_text() == page(), "write it again: python -m fhir_server.access.reference docs/scopes.md"
