"""Codes translated by concept maps.  https://hl7.org/fhir/R4/conceptmap.html"""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.terminology.concept_map import reverse, translate


def target(code: str, equivalence: str = "equivalent") -> dict[str, str]:
    return {"code": code, "equivalence": equivalence}


def concept_map(**group: Any) -> dict[str, Any]:
    return {"url": "urn:map", "group": [{"source": "urn:a", "target": "urn:b", **group}]}


MAP = concept_map(
    element=[
        {"code": "1", "target": [target("one"), target("uno", "wider")]},
        {"code": "2", "target": [{"equivalence": "unmatched"}]},
        {"code": "3", "target": [{**target("three"), "dependsOn": [{"property": "urn:p", "value": "x"}]}]},
    ]
)
OTHERS = {"urn:map": MAP}


def translated(found: dict[str, Any], code: str, system: str | None = "urn:a") -> list[tuple[str, str | None]]:
    return [(each.equivalence, each.code) for each in translate(found, system, code, OTHERS.get)]


def test_targets() -> None:
    assert translated(MAP, "1") == [("equivalent", "one"), ("wider", "uno")]
    assert translated(MAP, "1", None) == translated(MAP, "1")
    assert translated(MAP, "1", "urn:other") == []
    assert translated(MAP, "9") == []


def test_a_statement_that_nothing_matches() -> None:
    (found,) = translate(MAP, "urn:a", "2", OTHERS.get)
    assert not found.matches


def test_what_depends_on_other_elements_is_refused() -> None:
    with pytest.raises(FhirError, match="depends on other elements"):
        translated(MAP, "3")


def test_backwards() -> None:
    found = [(each.equivalence, each.system, each.code) for each in reverse(MAP, "urn:b", "uno")]
    assert found == [("narrower", "urn:a", "1")]
    assert reverse(MAP, "urn:a", "uno") == []


@pytest.mark.parametrize(
    ("unmapped", "found"),
    [
        ({"mode": "provided"}, [("equal", "9")]),
        ({"mode": "fixed", "code": "other"}, [("inexact", "other")]),
        ({"mode": "other-map", "url": "urn:map"}, []),
    ],
)
def test_what_the_map_does_not_name(unmapped: dict[str, str], found: list[tuple[str, str]]) -> None:
    assert translated({**concept_map(unmapped=unmapped), "url": "urn:first"}, "9") == found


def test_another_map_goes_on() -> None:
    first = {**concept_map(unmapped={"mode": "other-map", "url": "urn:map"}), "url": "urn:first"}
    assert translated(first, "1") == translated(MAP, "1")
    with pytest.raises(FhirError, match="not known"):
        translated(concept_map(unmapped={"mode": "other-map", "url": "urn:nothing"}), "1")
    ring = concept_map(unmapped={"mode": "other-map", "url": "urn:map"})
    with pytest.raises(FhirError, match="in a circle"):
        translate(ring, "urn:a", "1", lambda _: ring)
