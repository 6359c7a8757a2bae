"""JSON Patch: the examples of RFC 6902, and what holds for every document."""

from __future__ import annotations

import copy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir import json, json_patch
from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.patch import MAX_OPERATIONS, Unpatchable

ROWS = yaml.safe_load(Path(__file__).with_name("json_patch.yaml").read_text())
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.decimals(-9, 9, places=2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "/", "~", ""]), inner),
    max_leaves=12,
)
PATIENT = {"resourceType": "Patient", "id": "p1", "meta": {"versionId": "1", "tag": [{"code": "a"}]}, "active": True}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["title"])
def test_a_row(row: dict[str, Any]) -> None:
    given = copy.deepcopy(row["given"])
    if "refused" not in row:
        assert json_patch.operated(given, row["patch"]) == row["result"]
    else:
        with pytest.raises(Unpatchable, match=row["refused"]) as refusal:
            json_patch.operated(given, row["patch"])
        assert refusal.value.status == row.get("status", 422)
    assert given == row["given"], "what is given is not changed in place"


def pointers(value: Any, path: str = "") -> list[str]:
    named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [each for name, child in named for each in pointers(child, f"{path}/{escaped(name)}")]
    return [path, *inner]


def escaped(name: Any) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


@given(document=VALUES, data=st.data(), value=VALUES)
def test_what_is_replaced_is_found_there_and_can_be_put_back(document: Any, data: st.DataObject, value: Any) -> None:
    path = data.draw(st.sampled_from(pointers(document)))
    before = json.encode(document)
    replaced = json_patch.operated(document, [{"op": "replace", "path": path, "value": value}])
    assert json_patch.operated(replaced, [{"op": "test", "path": path, "value": value}]) is replaced
    old = at(document, path)
    assert json_patch.same(json_patch.operated(replaced, [{"op": "replace", "path": path, "value": old}]), document)
    assert json.encode(document) == before


def at(document: Any, path: str) -> Any:
    return json_patch.operated({"x": None, "y": document}, [{"op": "copy", "from": f"/y{path}", "path": "/x"}])["x"]


@given(document=st.lists(VALUES, min_size=1), data=st.data(), value=VALUES)
def test_add_is_undone_by_remove(document: list[Any], data: st.DataObject, value: Any) -> None:
    place = data.draw(st.integers(0, len(document)))
    added = json_patch.operated(document, [{"op": "add", "path": f"/{place}", "value": value}])
    assert len(added) == len(document) + 1
    assert json_patch.operated(added, [{"op": "remove", "path": f"/{place}"}]) == document


@given(one=VALUES, other=VALUES)
def test_sameness_is_that_of_json(one: Any, other: Any) -> None:
    assert json_patch.same(one, one)
    assert json_patch.same(one, other) == json_patch.same(other, one)
    if json.encode(one) == json.encode(other):
        assert json_patch.same(one, other)


def patched(resource: dict[str, Any], *rows: dict[str, Any]) -> dict[str, Any]:
    return json_patch.read(json.encode(list(rows)))(resource)


def test_decimals_keep_their_digits_and_elements_their_order() -> None:
    given = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.00"), "unit": "mg"}, "note": []}
    raw = b'[{"op":"test","path":"/valueQuantity/value","value":1.0},{"op":"add","path":"/x","value":0.10}]'
    assert json.encode(json_patch.read(raw)(given)) == (
        b'{"resourceType":"Observation","valueQuantity":{"value":1.00,"unit":"mg"},"x":0.10}'
    )


@pytest.mark.parametrize("path", ["/id", "/resourceType", "/meta/versionId", "/meta", ""])
def test_what_the_server_sets_cannot_be_patched(path: str) -> None:
    with pytest.raises(FhirError, match="Operation 1") as refusal:
        patched(PATIENT, {"op": "test", "path": "/active", "value": True}, {"op": "add", "path": path, "value": {}})
    assert refusal.value.status == 400


def test_what_becomes_empty_is_not_there() -> None:
    assert "meta" in patched(PATIENT, {"op": "remove", "path": "/meta/tag/0/code"})
    assert "tag" not in patched(PATIENT, {"op": "remove", "path": "/meta/tag/0"})["meta"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"op": "test", "path": "", "value": 1}] * (MAX_OPERATIONS + 1),
        [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40,
        [{"op": "copy", "from": "/text", "path": "/a/-"}] * 900,
        [{"op": "copy", "from": "", "path": "/a/0"}] * 900,
    ],
    ids=["operations", "doubling", "repeating", "nesting"],
)
def test_limits(rows: list[dict[str, Any]]) -> None:
    given = {**PATIENT, "a": [{"x": "y" * 100}], "text": "z" * 10_000}
    with pytest.raises(FhirError) as refusal:
        patched(given, *rows)
    assert refusal.value.status in (400, 413)
    assert refusal.value.issues[0].code in ("too-costly", "structure")


@pytest.mark.parametrize("raw", [b"", b"{}", b"7", b"[", b'[{"op":"add","op":"add"}]'])
def test_what_is_no_patch(raw: bytes) -> None:
    with pytest.raises(FhirError) as refusal:
        json_patch.read(raw)
    assert refusal.value.status == 400
