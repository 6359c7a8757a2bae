import hashlib
import inspect
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.primitives import interval_of
from fhir_server.mapping import document, maps
from fhir_server.mapping.ciphers import fernet
from fhir_server.mapping.context import Context
from fhir_server.mapping.convert import CONVERTERS
from fhir_server.mapping.convert_contact import INTERNATIONAL, NORTH_AMERICAN, TYPED, e164
from fhir_server.mapping.convert_dose import dose
from fhir_server.mapping.convert_integrity import digest_of
from fhir_server.mapping.convert_measure import quantity_in
from fhir_server.mapping.convert_time import date_time, instant, inverted
from fhir_server.mapping.converter import MOST_KEPT, Remembered
from fhir_server.mapping.fault import CODES, Fault
from fhir_server.mapping.identity import Identity
from seed.sealing import SAMPLE_KEY, sealed

CONTEXT = Context(
    Identity("https://x.example", "acme"),
    date(2025, 6, 30),
    ZoneInfo("America/New_York"),
    "EUR",
    {"pii": fernet(SAMPLE_KEY)},
)
TABLE = document.plain(document.read(Path(__file__).with_name("convert.yaml").read_text(), "convert.yaml"))


def cases() -> Iterator[Any]:
    for part, lines in TABLE.items():
        for at, case in enumerate(lines):
            yield pytest.param(case, id=f"{part}-{at}-{case['call']}")


def call(case: dict[str, Any]) -> Any:
    converter = CONVERTERS[case["call"]]
    args = [tuple(each) if isinstance(each, list) else each for each in case.get("args", [])]
    return converter.call(case["value"], *args, *([CONTEXT] if converter.context else []))


@pytest.mark.parametrize("case", list(cases()))
def test_the_table_of_conversions(case: dict[str, Any]) -> None:
    if "fault" not in case:
        assert call(case) == case["gives"]
        return
    with pytest.raises(Fault) as refused:
        call(case)
    assert refused.value.code == case["fault"]
    assert refused.value.kept == case.get("kept")
    assert str(case["value"]) not in refused.value.message, "messages hold no values"


def test_every_converter_that_may_fail_says_so_and_is_in_the_table() -> None:
    failing = {case["call"] for lines in TABLE.values() for case in lines if "fault" in case}
    assert {name for name in failing if not CONVERTERS[name].fails} == set()
    tried = {case["call"] for lines in TABLE.values() for case in lines}
    untried = {"absent", "map", "code_of", "copy", "note", "const", "cc", "reference", "link", "b64", "fax", "qty_in"}
    untried |= {"coding", "address", "dose", "page", "form_fields", "dicom_series", "dicom_modalities", "matched"}
    untried |= {"searches"}
    assert set(CONVERTERS) - tried == untried


def test_declared_arguments_are_those_of_the_function() -> None:
    for name, converter in CONVERTERS.items():
        if name in ("absent", "map", "reference", "link"):
            continue
        taken = len(inspect.signature(converter.call).parameters)
        assert taken == 1 + len(converter.args) + converter.context, name


def test_codes_of_faults_are_those_of_the_specification() -> None:
    used = {case["fault"] for lines in TABLE.values() for case in lines if "fault" in case}
    assert used <= CODES


def test_encrypted_values_come_out_clear() -> None:
    assert CONVERTERS["decrypt"].call(sealed("123-45-6789"), "pii", CONTEXT) == "123-45-6789"


@given(st.datetimes(min_value=datetime(1880, 1, 1), max_value=datetime(2200, 1, 1)))
def test_a_moment_keeps_its_instant_whatever_form_the_driver_gives(moment: datetime) -> None:
    forms: list[Any] = [moment, moment.isoformat(" "), moment.isoformat()]
    assert len({date_time(each, CONTEXT) for each in forms}) == 1
    written = instant(moment.replace(tzinfo=UTC), CONTEXT)
    low = interval_of(written).low
    assert low is not None
    assert abs((low - moment.replace(tzinfo=UTC)).total_seconds()) < 0.001


@given(st.datetimes(datetime(1880, 1, 1), datetime(9998, 12, 31)))
def test_the_day_of_a_moment_is_its_day_whatever_form_the_driver_gives(moment: datetime) -> None:
    day, fraction = moment.date().isoformat(), moment.isoformat(" ", "microseconds")
    forms = [moment, moment.date(), day, f" {day}", moment.isoformat(" "), fraction, f"{fraction} +02", f"{fraction}Z"]
    assert {CONVERTERS["date"].call(each) for each in forms} == {day}


@pytest.mark.parametrize(
    "written", ["2024-W01-1", "20240101", "2024-1-001", "٢٠٢٤-01-01", "2024-02-30", "2024-02-30 00:00"]
)
def test_a_day_is_read_only_as_fhir_writes_it(written: str) -> None:
    with pytest.raises(Fault):
        CONVERTERS["date"].call(written)


@given(st.dates(min_value=date(1880, 1, 1), max_value=date(2200, 1, 1)), st.dates(min_value=date(1880, 1, 1)))
def test_inverted_compares_at_the_precision_of_both(start: date, end: date) -> None:
    assert inverted(start.isoformat(), end.isoformat()) is (end < start)
    assert inverted(start.isoformat(), f"{end.isoformat()}T00:00:00Z") is (end < start)


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=4))
def test_money_has_two_places_and_is_exact(amount: Decimal) -> None:
    found = CONVERTERS["money"].call(str(amount), CONTEXT)
    assert found["value"].as_tuple().exponent == -2
    assert abs(found["value"] - amount) <= Decimal("0.005")


@given(st.text(max_size=30))
def test_no_converter_of_text_raises_anything_but_a_fault(value: str) -> None:
    for name in ("phone", "email", "npi", "date", "dateTime", "instant", "time", "decimal", "int", "bool", "humanname"):
        converter = CONVERTERS[name]
        args = ["home"] if converter.args == ("word",) else []
        with suppress(Fault):
            converter.call(value, *args, *([CONTEXT] if converter.context else []))


UNITS = maps.read(
    "title: t\ntargets: [Quantity.code]\nrows:\n  - {source: [mcg/dL], target: UCUM|ug/dL, equivalence: equal}\n",
    "maps/units.yaml",
    "units",
    {"UCUM": "http://unitsofmeasure.org", "base": "https://x.example"},
)


def test_a_unit_of_another_column_is_translated() -> None:
    measured = {"value": Decimal("7.20"), "unit": "MCG/dL", "system": "http://unitsofmeasure.org", "code": "ug/dL"}
    assert quantity_in("7.20", "MCG/dL", UNITS) == measured
    assert quantity_in("7.20", None, UNITS) == {"value": Decimal("7.20")}
    assert quantity_in("n/a", "mcg/dL", UNITS) is None
    assert quantity_in("1.2", "ng/dL", UNITS) == {**measured, "value": Decimal("1.2"), "unit": "ng/dL", "code": "ng/dL"}
    with pytest.raises(Fault) as refused:
        quantity_in("7.20", "spoons", UNITS)
    assert (refused.value.code, refused.value.kept) == ("UNIT_UNMAPPED", {"value": Decimal("7.20"), "unit": "spoons"})


def test_a_hash_is_the_same_whatever_database_the_values_come_from() -> None:
    written = '7|2024-05-06T14:30:00Z||{"a":[1]}|2024-05-06|true'
    seal = hashlib.sha256(written.encode()).hexdigest()
    texts = (7, "2024-05-06 14:30:00+00:00", None, {"a": [1]}, "2024-05-06", "true")
    typed = (7.0, datetime(2024, 5, 6, 16, 30, tzinfo=timezone(timedelta(hours=2))), None, {"a": [1]}, date(2024, 5, 6))
    assert digest_of(seal, texts)
    assert digest_of(seal.upper(), (*typed, "true"))
    assert digest_of(seal, (8, *texts[1:])) is None


DOSES = maps.read(
    "title: t\ntargets: [Quantity.code]\nrows:\n  - {source: [mg], target: UCUM|mg, equivalence: equal}\n",
    "maps/doses.yaml",
    "doses",
    {"UCUM": "http://unitsofmeasure.org", "base": "https://x.example"},
)


def test_a_dose_in_words_is_a_quantity_where_its_unit_is_known() -> None:
    ten = {"value": Decimal("2.50"), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    assert dose("2.50mg", DOSES) == ten
    assert dose("2.50 mg", DOSES) == ten
    assert dose("2 spoons", DOSES) is None
    assert dose("one tablet", DOSES) is None


def test_what_is_kept_of_equal_values_that_are_written_differently_is_kept_apart() -> None:
    written = Remembered(lambda value, mark: f"{mark}{value}", "#")
    equal = [1, 1.0, True, Decimal(1), Decimal("1.0"), Decimal("1.00"), "1", 0, 0.0, -0.0, False, Decimal("0.0"), "0"]
    told = ["1", "1.0", "True", "1", "1.0", "1.00", "1", "0", "0.0", "-0.0", "False", "0.0", "0"]
    for _ in range(2):
        assert [written[each.__class__][each] for each in equal] == [f"#{each}" for each in told]


def test_a_converter_keeps_the_last_values_only_and_asks_again_for_the_others() -> None:
    asked: list[Any] = []
    written = Remembered(lambda value: asked.append(value) or len(asked))
    assert [written[int][at] for at in [*range(MOST_KEPT + 1), MOST_KEPT, 0]][-2:] == [MOST_KEPT + 1, MOST_KEPT + 2]
    assert len(written[int]) <= MOST_KEPT  # type: ignore[arg-type]
    assert written[list][[1]] != written[list][[1]]


def test_a_fault_is_raised_again_for_the_same_value() -> None:
    number = Remembered(CONVERTERS["int"].call)
    for _ in range(2):
        with pytest.raises(Fault):
            number[str]["x"]


PUNCTUATION = st.sampled_from(["", " ", "-", ".", ") ", " (", "\t"])
DIGITS = st.text("0123456789٣", min_size=2, max_size=4)


@given(st.lists(st.tuples(PUNCTUATION, DIGITS), max_size=5), st.sampled_from(["", "+", "+1", "1", "x"]))
def test_a_number_of_ten_digits_is_read_as_by_the_rule_for_all(parts: list[tuple[str, str]], start: str) -> None:
    value = start + "".join(mark + digits for mark, digits in parts)
    bare = TYPED.sub("", value)
    found = NORTH_AMERICAN.match(bare)
    assert e164(value) == (f"+1{found[1]}" if found else bare if INTERNATIONAL.match(bare) else value)


def test_a_map_tells_flags_from_numbers_whichever_it_meets_first() -> None:
    rows = "rows:\n  - {source: 'true', target: a}\n  - {source: 1, target: b}\n"
    found = maps.read(f"title: t\ntargets: [Patient.gender]\n{rows}", "maps/f.yaml", "f", {"base": "https://x.example"})
    translation = maps.Translation(found, "code", required=True)
    assert [translation[each] for each in (True, 1, "true", "1", True)] == ["a", "b", "a", "b", "a"]


@given(st.datetimes(datetime(1880, 1, 1), datetime(9998, 12, 31)))
def test_a_plain_moment_of_utc_is_read_as_any_other(moment: datetime) -> None:
    utc = Context(Identity("https://x.example", "acme"), date(2025, 6, 30))
    assert date_time(f"{moment:%Y-%m-%d %H:%M:%S.%f}".rjust(26, "0"), utc) == date_time(moment.replace(tzinfo=UTC), utc)
