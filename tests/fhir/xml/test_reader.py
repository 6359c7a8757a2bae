"""XML that is refused: what it says, where, and that nothing is fetched for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.fhir.outcome import FhirError
from fhir_server.fhir.xml import reader, writer

CASES = [
    pytest.param(row, id=row["title"])
    for row in yaml.safe_load(Path(__file__).with_name("reader.yaml").read_text(encoding="utf-8"))
]
FHIR = 'xmlns="http://hl7.org/fhir"'


def refusal(raw: str | bytes) -> FhirError:
    with pytest.raises(FhirError) as refused:
        reader.parse(raw.encode() if isinstance(raw, str) else raw)
    return refused.value


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Whoever asks it stands in its queue."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.setblocking(False)
        yield found


@pytest.mark.parametrize("case", CASES)
def test_a_body_that_is_refused(
    case: dict[str, Any], listener: socket.socket, counted: Callable[[str, int], None]
) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    found = refusal(bytes.fromhex(case["hex"]) if "hex" in case else case["raw"].replace("{url}", url))
    [issue] = found.issues
    assert (found.status, issue.code) == (400, case["code"])
    assert str(case.get("says", "")) in issue.diagnostics
    assert issue.expression == ((case["at"],) if "at" in case else ())
    with pytest.raises(BlockingIOError):
        listener.accept()
    counted("XML bodies refused, with no connection made", 1)


def test_every_fault_is_named_at_once() -> None:
    found = refusal(
        f'<Bundle {FHIR}><entry><resource><Patient><brithDate value="x"><a/></brithDate><name><given value="a"/>'
        '<given value="b" x="1"/></name></Patient></resource></entry>'
        "<entry><resource><Foo/></resource></entry></Bundle>"
    )
    assert [each.expression[0] for each in found.issues] == [
        "Bundle.entry[0].resource.brithDate",
        "Bundle.entry[0].resource.name[0].given[1].x",
        "Bundle.entry[1].resource",
    ]


def test_a_hundred_faults_are_enough() -> None:
    assert len(refusal(f"<Patient {FHIR}>{'<a/>' * 10_000}</Patient>").issues) == reader.MAX_ISSUES


@pytest.mark.parametrize("name", ["extension", "a"])
def test_b38_depth(name: str) -> None:
    deep = f"<{name}>" * 5000 + f"</{name}>" * 5000
    assert "levels deep" in refusal(f"<Patient {FHIR}>{deep}</Patient>").issues[-1].diagnostics


def test_b38_depth_of_narrative() -> None:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{"<b>" * 5000}{"</b>" * 5000}</div>'
    assert "256 levels" in refusal(f"<Patient {FHIR}><text>{div}</text></Patient>").issues[0].diagnostics


def nested(levels: int) -> dict[str, Any]:
    """A resource whose JSON is nested as deep as said: each extension is an object in an array."""
    extension: dict[str, Any] = {"url": "u", "valueString": "x"}
    for _ in range((levels - 1) // 2 - 1):
        extension = {"url": "u", "extension": [extension]}
    return {"resourceType": "Patient", "extension": [extension]}


def test_xml_may_be_as_deep_as_json() -> None:
    """63 levels are below the limit of 64, and 65 above it."""
    assert reader.parse(writer.write(nested(63))) == nested(63)
    assert "64 levels" in refusal(writer.write(nested(65))).issues[0].diagnostics


def test_a_hint_for_validators_is_no_fault() -> None:
    hint = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir x.xsd"'
    assert reader.parse(f"<Patient {FHIR} {hint}/>".encode()) == {"resourceType": "Patient"}


def test_a_prefix_for_fhir_is_as_good() -> None:
    raw = b'\xef\xbb\xbf<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>'
    assert reader.parse(raw) == {"resourceType": "Patient", "active": True}


def test_a_long_value_is_read() -> None:
    data = "QUFB" * 4_000_000
    raw = f'<Binary {FHIR}><contentType value="text/plain"/><data value="{data}"/></Binary>'
    assert reader.parse(raw.encode())["data"] == data
