"""Whatever is written by `index` is found by the filter of the same module, and by nothing it should not be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.index import index
from fhir_server.search.match import matches
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.types.string import folded
from fhir_server.search.values import PREFIXES
from tests.search import naive, naive_numbers
from tests.search.queries import escaped

NOW = datetime(2024, 6, 1, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(
    lambda text: text.strip()
)
words = texts.filter(lambda text: bool(folded(text)))
codes = st.text(st.characters(codec="ascii", exclude_categories=("Cc", "Zs")), min_size=1, max_size=12)
systems = st.none() | st.sampled_from(["http://a", "http://a|b", "urn:oid:1.2"])
prefixes = st.sampled_from(PREFIXES)


def found(resource: dict[str, Any], *query: tuple[str, str]) -> bool:
    asked = parse((resource["resourceType"],), query, lenient=False, base="", now=NOW)
    document = {"rt": resource["resourceType"], "id": resource.get("id"), "lu": NOW, **index(resource).as_document()}
    planned = plan(asked)
    parts = [planned.filter]
    while planned.then:
        planned = planned.then
        parts.append(planned.filter)
    by_phase = [matches(document, part) for part in parts]
    assert by_phase.count(True) == matches(document, plan(asked).criteria), "phases divide what matches"
    return any(by_phase)


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p", **elements}


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "o", **elements}


@given(words, st.integers(1, 30))
def test_a_string_is_found_by_its_start_any_part_and_itself(text: str, length: int) -> None:
    resource = patient(name=[{"family": text}])
    start = folded(text)[:length]
    if start.strip():
        assert found(resource, ("family", escaped(start)))
    assert (
        found(resource, ("family:contains", escaped(folded(text)[-length:] or "x")))
        or not folded(text)[-length:].strip()
    )
    assert found(resource, ("family:exact", escaped(text)))


@given(words, words)
def test_exact_means_exactly(one: str, other: str) -> None:
    assert found(patient(name=[{"family": one}]), ("family:exact", escaped(other))) == (one == other)


@given(words)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(systems, codes, systems, codes)
def test_a_token_is_found_by_system_and_code(
    system: str | None, code: str, other_system: str | None, other: str
) -> None:
    coding = {"code": code, **({"system": system} if system else {})}
    resource = observation(code={"coding": [coding]})
    pair = f"{escaped(system or '')}|{escaped(code)}"
    assert found(resource, ("code", escaped(code)))
    assert found(resource, ("code", pair))
    assert not found(resource, ("code:not", pair))
    asked = f"{escaped(other_system or '')}|{escaped(other)}"
    assert found(resource, ("code", asked)) == ((system, code) == (other_system, other))


@given(codes, codes, codes)
def test_a_typed_identifier_is_found_by_its_type(system: str, kind: str, value: str) -> None:
    resource = patient(identifier=[{"type": {"coding": [{"system": system, "code": kind}]}, "value": value}])
    assert found(resource, ("identifier:of-type", "|".join(map(escaped, (system, kind, value)))))


@given(st.from_regex(r"\A[A-Za-z0-9\-.]{1,64}\Z"), st.none() | st.integers(1, 9))
def test_a_reference_is_found_in_every_form(resource_id: str, version: int | None) -> None:
    text = f"Patient/{resource_id}" + (f"/_history/{version}" if version else "")
    resource = observation(subject={"reference": text})
    for query in [("subject", text), ("subject", f"Patient/{resource_id}"), ("subject", resource_id)]:
        assert found(resource, query)
    assert found(resource, ("subject:Patient", resource_id))
    assert found(resource, ("patient", resource_id))
    assert not found(resource, ("subject", f"Group/{resource_id}"))


zones = st.sampled_from(["Z", "+05:30", "-11:00", "+14:00"])


@st.composite
def dates(draw: st.DrawFn) -> str:
    day = draw(st.datetimes(datetime(2019, 12, 30), datetime(2020, 3, 2)))
    written = day.replace(microsecond=0).isoformat()
    return draw(st.sampled_from([written[:4], written[:7], written[:10], written + draw(zones), f"{written}.5Z"]))


@st.composite
def effective(draw: st.DrawFn) -> dict[str, Any]:
    one, other = sorted([draw(dates()), draw(dates())], key=lambda text: naive._bounds(text)[0])
    return draw(
        st.sampled_from(
            [
                {"effectiveDateTime": one},
                {"effectivePeriod": {"start": one, "end": other}},
                {"effectivePeriod": {"start": one}},
                {"effectivePeriod": {"end": other}},
                {"effectiveTiming": {"event": [one, other]}},
            ]
        )
    )


@given(effective(), prefixes, dates())
def test_every_prefix_on_dates_is_as_defined(value: dict[str, Any], prefix: str, asked: str) -> None:
    query = ("date", prefix + asked)
    resource = observation(**value)
    assert found(resource, query) == naive.finds(resource, [query], "", NOW)


@given(effective(), prefixes, dates(), prefixes, dates())
def test_two_conditions_on_a_date_are_both_met(
    value: dict[str, Any], prefix: str, one: str, other_prefix: str, other: str
) -> None:
    query = [("date", prefix + one), ("date", other_prefix + other)]
    resource = observation(**value)
    assert found(resource, *query) == naive.finds(resource, query, "", NOW)


numbers = st.decimals(-1000, 1000, places=2) | st.integers(-1000, 1000).map(Decimal)


@given(numbers, prefixes, numbers, st.sampled_from([None, "<", "<=", ">", ">="]))
def test_every_prefix_on_quantities_is_as_defined(
    value: Decimal, prefix: str, asked: Decimal, comparator: str | None
) -> None:
    quantity = {"value": value, "unit": "mg", **({"comparator": comparator} if comparator else {})}
    query = ("value-quantity", f"{prefix}{asked}||mg")
    resource = observation(valueQuantity=quantity)
    assert found(resource, query) == naive.finds(resource, [query], "", NOW)


few_codes = st.sampled_from(["a", "b", "a$b", "a~"])
few_systems = st.sampled_from(["", "urn:s", "urn:t"])
few_codings = st.tuples(few_systems, few_codes)


def concept(codings: list[tuple[str, str]]) -> dict[str, Any]:
    return {"coding": [{"code": code, **({"system": system} if system else {})} for system, code in codings]}


concepts = st.lists(few_codings, min_size=1, max_size=2).map(concept)
few_numbers = st.sampled_from([Decimal(each) for each in ("1", "1.5", "2", "10")])
combined = st.one_of(
    st.fixed_dictionaries({"valueCodeableConcept": concepts}),
    st.builds(
        lambda value, unit, than: {"valueQuantity": {"value": value, **unit, **({"comparator": than} if than else {})}},
        few_numbers,
        st.sampled_from([{}, {"unit": "mg"}, {"system": "urn:u", "code": "mg"}]),
        st.sampled_from([None, "<", ">="]),
    ),
)
elements = st.builds(lambda code, value: {"code": code, **value}, concepts, combined)


@st.composite
def asked_tokens(draw: st.DrawFn) -> str:
    system, code = draw(few_codings)
    return draw(st.sampled_from([escaped(code), f"{system}|{escaped(code)}", f"{system or 'urn:s'}|"]))


@st.composite
def asked_quantities(draw: st.DrawFn) -> str:
    return f"{draw(prefixes)}{draw(few_numbers)}{draw(st.sampled_from(['', '||mg', '|urn:u|mg', '|urn:u|']))}"


@given(
    elements, st.lists(elements, max_size=3), st.sampled_from(["code-", "component-code-", "combo-code-"]), st.data()
)
def test_a_composite_asks_of_one_element(
    own: dict[str, Any], held: list[dict[str, Any]], start: str, data: st.DataObject
) -> None:
    resource = observation(**own, component=held)
    kind, values = data.draw(st.sampled_from([("concept", asked_tokens()), ("quantity", asked_quantities())]))
    texts = data.draw(st.lists(st.tuples(asked_tokens(), values).map("$".join), min_size=1, max_size=2))
    query = (f"{start}value-{kind}", ",".join(texts))
    assert found(resource, query) == naive.finds(resource, [query], "", NOW)


@given(effective(), prefixes, dates())
def test_a_composite_of_a_date_has_every_prefix(value: dict[str, Any], prefix: str, asked: str) -> None:
    ((name, moment),) = value.items()
    if name == "effectiveTiming":
        return
    resource = observation(code=concept([("", "a")]), **{name.replace("effective", "value"): moment})
    query = ("code-value-date", f"a${prefix}{asked}")
    assert found(resource, query) == naive.finds(resource, [query], "", NOW)


converted = st.sampled_from(sorted(naive_numbers.LINES))


@given(numbers, converted, st.sampled_from([None, "<", "<=", ">", ">="]), prefixes, numbers, converted)
def test_units_of_one_dimension_find_each_other_and_no_others(
    value: Decimal, unit: str, comparator: str | None, prefix: str, asked: Decimal, other: str
) -> None:
    quantity = {"value": value, "system": naive_numbers.UCUM, "code": unit}
    resource = observation(valueQuantity={**quantity, **({"comparator": comparator} if comparator else {})})
    query = ("value-quantity", f"{prefix}{asked}|{naive_numbers.UCUM}|{other}")
    assert found(resource, query) == naive.finds(resource, [query], "", NOW)


@given(numbers, st.sampled_from([("mg", "g"), ("g", "kg"), ("mmol/L", "mol/L"), ("Pa", "kPa"), ("mL", "L")]))
def test_a_value_is_found_in_a_greater_unit_to_its_own_precision(value: Decimal, units: tuple[str, str]) -> None:
    small, large = units
    thousandth = Decimal(value).scaleb(-3)
    resource = observation(valueQuantity={"value": value, "system": naive_numbers.UCUM, "code": small})
    assert found(resource, ("value-quantity", f"{thousandth:f}|{naive_numbers.UCUM}|{large}"))


@given(numbers, numbers, prefixes, numbers)
def test_every_prefix_on_ranges_is_as_defined(one: Decimal, other: Decimal, prefix: str, asked: Decimal) -> None:
    low, high = sorted((one, other))
    resource = {
        "resourceType": "RiskAssessment",
        "prediction": [{"probabilityRange": {"low": {"value": low}, "high": {"value": high}}}],
    }
    query = ("probability", f"{prefix}{asked}")
    assert found(resource, query) == naive.finds(resource, [query], "", NOW)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=3))
def test_a_number_equals_itself(value: Decimal) -> None:
    assert found(observation(valueQuantity={"value": value}), ("value-quantity", str(value)))


@given(st.from_regex(r"\Ahttp://[a-z]{1,8}(/[a-zA-Z0-9]{1,5}){0,4}/?\Z"), st.integers(1, 6))
def test_a_uri_is_below_its_ancestors_and_above_its_descendants(uri: str, depth: int) -> None:
    resource = {"resourceType": "ValueSet", "url": uri}
    ancestor = "/".join(uri.rstrip("/").split("/")[: 2 + depth])
    assert found(resource, ("url", uri))
    assert found(resource, ("url:below", ancestor))
    assert found(resource, ("url:above", f"{uri.rstrip('/')}/more"))


@given(st.datetimes(datetime(2024, 5, 31), datetime(2024, 6, 2)), prefixes)
def test_the_last_update_is_a_moment(moment: datetime, prefix: str) -> None:
    asked = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    if prefix == "ap":
        return
    low, high, stamp = asked, asked + timedelta(milliseconds=1), NOW
    expected = {
        "eq": low <= stamp < high,
        "ne": not low <= stamp < high,
        "gt": stamp >= high,
        "sa": stamp >= high,
        "lt": stamp < low,
        "eb": stamp < low,
        "ge": stamp >= low,
        "le": stamp < high,
    }
    text = asked.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert found(patient(), ("_lastUpdated", f"{prefix}{text}")) == expected[prefix]


@pytest.mark.parametrize("kind", ["Patient", "Observation"])
@given(st.lists(st.tuples(st.sampled_from(["_tag", "_security", "_profile"]), words), max_size=4))
def test_the_self_link_says_what_was_applied(kind: str, pairs: list[tuple[str, str]]) -> None:
    query = parse((kind,), [(name, escaped(value)) for name, value in pairs], lenient=False, base="")
    again = parse((kind,), parse_qsl(query.self_link()), lenient=False, base="")
    assert again.self_link() == query.self_link()
    assert plan(again).criteria == plan(query).criteria
