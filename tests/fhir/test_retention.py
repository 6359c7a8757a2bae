"""How long records are kept."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhir import retention
from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.retention import Facts, after, kept, longest, merged, read, shipped
from fhir_server.search.clinical_dates import CLINICAL_DATES

ROWS = yaml.safe_load(Path(__file__).with_name("retention.yaml").read_text(encoding="utf-8"))
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))
OWN = {"name": "own", "source": "policy", "class": "record", "event": "treatment"}


def facts(row: dict[str, Any]) -> Facts:
    changed = row.get("changed") or date(1990, 1, 1)
    return Facts(row["born"], row["treated"], changed, row.get("ongoing"), row.get("classes") or {}, row.get("source"))


@pytest.mark.parametrize("row", [pytest.param(row, id=row["title"]) for row in ROWS])
def test_until_when(row: dict[str, Any]) -> None:
    own = [read(OWN | row["own"])] if "own" in row else []
    found = kept(facts(row), [*shipped(), *own])
    assert (found.until, found.rule) == (row["until"], row.get("rule", ""))
    assert found.of_class == row.get("class", "record")
    assert row.get("why", "") in found.reason
    if found.until and found.until < date.max:
        assert not found.is_due(found.until)
        assert found.is_due(found.until + timedelta(days=1))
    else:
        assert not found.is_due(date.max)


@settings(deadline=None)
@given(st.lists(st.tuples(DAYS, DAYS), min_size=1, max_size=4))
def test_merged_patients_take_the_longest(each: list[tuple[date, date]]) -> None:
    single = [Facts(born, treated, treated) for born, treated in each]
    every = [kept(one, shipped()).until for one in [*single, merged(single)]]
    assert longest(single, shipped()).until == max(every)
    assert longest([*single, Facts(None, None, date(2000, 1, 1))], shipped()).until is None


def test_who_was_a_minor_in_one_of_them_is_kept_as_one() -> None:
    """Treated at ten under one id and at nineteen under another."""
    both = [Facts(date(2010, 1, 1), day, day) for day in (date(2020, 1, 1), date(2029, 1, 1))]
    assert longest(both, shipped()).until == date(2040, 1, 1)


@settings(deadline=None)
@given(DAYS, DAYS, st.integers(0, 50))
def test_a_later_treatment_and_another_rule_never_shorten(born: date, treated: date, years: int) -> None:
    first = kept(Facts(born, treated, treated), shipped()).until
    later = kept(Facts(born, treated + timedelta(days=years * 400), treated), shipped()).until
    with_own = kept(Facts(born, treated, treated), [*shipped(), read(OWN | {"years": years})]).until
    assert first
    assert later
    assert with_own
    # Who has come of age meanwhile has no minor's limits any more; never less than what the rule of adults says.
    assert later >= min(first, after(treated + timedelta(days=years * 400), 10))
    assert with_own >= first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"class": "secret"}, "no class of record"),
        ({"event": "birth"}, "years are counted from"),
        ({"years": "ten"}, "whole numbers"),
        ({"minor": {"age": -1}}, "whole numbers"),
    ],
)
def test_a_rule_that_says_nothing_sensible_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(FhirError, match=said):
        read(OWN | {"years": 1} | change)


def test_the_shipped_table_names_what_there_is() -> None:
    assert set(retention.treatments()) <= resource_types() & CLINICAL_DATES.keys()
    assert {each.of_class for each in shipped()} <= retention.marks().keys()
