"""The official examples as XML and back: equal to the last digit and to the last letter of their narrative."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_server.fhir import json
from fhir_server.fhir.xml import reader, writer
from tests.fhir.test_corpus import PARTS, digits, examples

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("part", range(PARTS))
def test_every_example(r4_package: Path, part: int, counted: Callable[[str, int], None]) -> None:
    equal = 0
    for name, raw in examples(r4_package, part):
        read = reader.parse(writer.write(json.trusted(raw)))
        assert digits(json.encode(read)) == digits(raw), name
        equal += 1
    counted("official examples equal after JSON to XML to JSON", equal)
