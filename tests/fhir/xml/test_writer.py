"""Resources as XML and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.fhir import json
from fhir_server.fhir.xml import reader, writer

CASES = [
    pytest.param(row, id=row["title"])
    for row in yaml.safe_load(Path(__file__).with_name("same.yaml").read_text(encoding="utf-8"))
]


def document(case: dict[str, Any], content: str) -> bytes:
    name = case.get("type", "Patient")
    return f'{writer.DECLARATION}<{name} xmlns="http://hl7.org/fhir">{content}</{name}>'.encode()


@pytest.mark.parametrize("case", CASES)
def test_written(case: dict[str, Any]) -> None:
    assert writer.write(json.trusted(case["json"].encode())) == document(case, case["xml"])


@pytest.mark.parametrize("case", CASES)
def test_read(case: dict[str, Any]) -> None:
    """What is read is what was written, or is written the same again."""
    for content in (case["xml"], *case.get("also", ())):
        found = reader.parse(document(case, content))
        if "one_way" in case:
            assert writer.write(found) == document(case, content)
        else:
            assert found == json.trusted(case["json"].encode())


def test_pretty() -> None:
    resource = {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"> a <b>b</b></div>'},
        "contained": [{"resourceType": "Basic", "id": "b"}],
        "_birthDate": {"extension": [{"url": "u", "valueString": "x"}]},
    }
    written = writer.write(resource, pretty=True)
    assert written.decode().splitlines()[1:] == [
        '<Patient xmlns="http://hl7.org/fhir">',
        "  <text>",
        '    <status value="generated"/>',
        '    <div xmlns="http://www.w3.org/1999/xhtml"> a <b>b</b></div>',
        "  </text>",
        "  <contained>",
        "    <Basic>",
        '      <id value="b"/>',
        "    </Basic>",
        "  </contained>",
        "  <birthDate>",
        '    <extension url="u">',
        '      <valueString value="x"/>',
        "    </extension>",
        "  </birthDate>",
        "</Patient>",
    ]
    assert reader.parse(written) == resource
