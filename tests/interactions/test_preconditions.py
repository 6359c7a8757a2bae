"""Entity tags and dates that a request depends on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.version import Version
from fhir_server.interactions.preconditions import expected_version, not_modified, only_create

NOON = datetime(2024, 2, 29, 12, 0, 0, 500_000, tzinfo=UTC)
VERSION = Version("acme", "Patient", "p1", 3, NOON, "PUT", b"{}")


@given(st.integers(1, 2**31), st.sampled_from(['W/"{}"', '"{}"', ' W/"{}" ']))
def test_a_version_can_be_named_weakly_or_strongly(version_id: int, form: str) -> None:
    assert expected_version(EntryRequest("PUT", "Patient/p1", if_match=form.format(version_id))) == version_id


@pytest.mark.parametrize("tag", ["", "3", 'W/"abc"', 'W/"0"', 'W/"-1"', "*", 'w/"3"', 'W/"1", W/"2"', 'W/"3'])
def test_any_other_tag_is_refused(tag: str) -> None:
    with pytest.raises(FhirError) as refusal:
        expected_version(EntryRequest("PUT", "Patient/p1", if_match=tag))
    assert refusal.value.status == 400


def test_without_a_tag_any_version_will_do() -> None:
    assert expected_version(EntryRequest("PUT", "Patient/p1")) is None


@pytest.mark.parametrize(
    ("tags", "since", "expected"),
    [
        (None, None, False),
        ('W/"3"', None, True),
        ('"3"', None, True),
        ('W/"1", W/"3"', None, True),
        ("*", None, True),
        ('W/"2"', None, False),
        ("rubbish", None, False),
        (None, NOON.replace(microsecond=0), True),
        (None, NOON.replace(second=59), True),
        (None, NOON.replace(minute=0, hour=11), False),
        ('W/"2"', NOON.replace(second=59), False),
    ],
)
def test_what_the_client_has_already(tags: str | None, since: datetime | None, expected: bool) -> None:
    entry = EntryRequest("GET", "Patient/p1", if_none_match=tags, if_modified_since=since)
    assert not_modified(entry, VERSION) is expected


def test_only_a_star_asks_for_a_new_resource() -> None:
    assert only_create(EntryRequest("PUT", "Patient/p1", if_none_match="*"))
    assert not only_create(EntryRequest("PUT", "Patient/p1"))
    with pytest.raises(FhirError):
        only_create(EntryRequest("PUT", "Patient/p1", if_none_match='W/"1"'))
