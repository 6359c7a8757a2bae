"""For any resource of the definitions: what is written as XML is read as the same JSON, digits included."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.fhir import json
from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.primitives import INTEGERS
from fhir_server.fhir.xml import reader, writer
from fhir_server.fhir.xml.shape import RESOURCE, XHTML, Child, children

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r&<>\"'"),
    min_size=1,
    max_size=8,
)
DECIMALS = st.decimals(-(10**15), 10**15, allow_nan=False).filter(lambda each: len(each.as_tuple().digits) <= 30)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "decimal": st.integers(-(2**63), 2**63 - 1) | DECIMALS,
    XHTML: TEXT.map(lambda text: f'<div xmlns="http://www.w3.org/1999/xhtml">{escaped(text)}</div>'),
    **dict.fromkeys(INTEGERS, st.integers(-(2**31), 2**31 - 1)),
}
MEMBERS = 4
DEPTH = 4


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@st.composite
def resources(draw: st.DrawFn, depth: int = DEPTH) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(resource_types())))
    return {"resourceType": name, **draw(elements(name, depth))}


@st.composite
def elements(draw: st.DrawFn, path: str, depth: int) -> dict[str, Any]:
    """Some children, in any order, and at least one."""
    known = [each for each in children(path).values() if depth or each.is_primitive]
    chosen = draw(st.lists(st.sampled_from(known), min_size=1, max_size=MEMBERS, unique_by=lambda each: each.name))
    found: dict[str, Any] = {}
    for child in chosen:
        found |= draw(members(child, depth))
    return found


@st.composite
def members(draw: st.DrawFn, child: Child, depth: int) -> dict[str, Any]:
    count = draw(st.integers(1, 3)) if child.many else 1
    values = [draw(value(child, depth)) for _ in range(count)]
    plain = child.is_attribute or child.type_name == XHTML or not child.is_primitive
    beside = [None if plain else draw(siblings(depth)) for _ in range(count)]
    stated = [None if each and draw(st.booleans()) else one for one, each in zip(values, beside, strict=True)]
    found: dict[str, Any] = {}
    if any(each is not None for each in stated):
        found[child.name] = stated if child.many else stated[0]
    if any(beside):
        found[f"_{child.name}"] = beside if child.many else beside[0]
    return found


def value(child: Child, depth: int) -> st.SearchStrategy[Any]:
    if child.type_name == RESOURCE:
        return resources(depth=depth - 1)
    if child.is_primitive:
        return VALUES.get(child.type_name, TEXT)
    return elements(child.path, depth - 1)


def siblings(depth: int) -> st.SearchStrategy[Any]:
    return st.none() | elements("Element", depth - 1) if depth else st.none()


def exact(found: Any) -> Any:
    """Decimals by their digits, and a boolean apart from the number that it equals."""
    if isinstance(found, dict):
        return {name: exact(each) for name, each in found.items()}
    if isinstance(found, list):
        return [exact(each) for each in found]
    return found.as_tuple() if isinstance(found, Decimal) else (type(found), found)


@given(resources())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_xml_and_back(resource: dict[str, Any]) -> None:
    stored = json.trusted(json.encode(resource))
    assert exact(reader.parse(writer.write(stored))) == exact(stored)
    assert exact(reader.parse(writer.write(stored, pretty=True))) == exact(stored)
