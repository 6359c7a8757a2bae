"""Headers are bounded and unambiguous.  RFC 9110 §5"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.rest.headers import checked, moment, preferences, text


def read(raw: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    return checked(raw, dict(raw))


@pytest.mark.parametrize("name", [b"authorization", b"content-type", b"content-length", b"if-match", b"if-none-exist"])
def test_a_header_of_one_value_comes_once(name: bytes) -> None:
    with pytest.raises(FhirError, match="twice") as refused:
        read([(name, b"1"), (name, b"1")])
    assert refused.value.status == 400


def test_a_list_may_come_in_pieces() -> None:
    assert read([(b"prefer", b"return=minimal"), (b"prefer", b"handling=lenient")]) == {
        b"prefer": b"return=minimal, handling=lenient"
    }


@pytest.mark.parametrize("raw", [[(b"x-%d" % n, b"") for n in range(1000)], [(b"x", b"y" * 65_536)]])
def test_too_many_or_too_long_headers_are_refused(raw: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(FhirError) as refused:
        read(raw)
    assert refused.value.status == 431


def test_preferences_are_lower_case_and_separate() -> None:
    assert preferences(b'Return=OperationOutcome; wait=10, handling="lenient"') == {
        "return=operationoutcome",
        "wait=10",
        "handling=lenient",
    }


def test_a_date_is_read_or_ignored() -> None:
    assert moment(b"Sun, 06 Nov 1994 08:49:37 GMT") == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    assert moment(b"Sun, 06 Nov 1994 08:49:37 -0000") == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    assert moment(b"yesterday") is None


def test_text_is_stripped() -> None:
    assert text({b"a": b' W/"1" '}, b"a") == 'W/"1"'
    assert text({}, b"a") is None
