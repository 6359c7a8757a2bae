"""Codes of the second factor.  RFC 4226 appendix D, RFC 6238 appendix B"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.auth import totp

SECRET = b"12345678901234567890"
HOTP = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
TOTP = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 20000000000: "353130"}


@pytest.mark.parametrize("count", range(10))
def test_codes_are_those_of_rfc_4226(count: int) -> None:
    assert totp.code(SECRET, count) == HOTP[count]


@pytest.mark.parametrize("now", TOTP)
def test_codes_are_those_of_rfc_6238(now: int) -> None:
    assert totp.step_of(SECRET, TOTP[now], now) == now // 30


@given(st.integers(min_value=100, max_value=10**8), st.integers(min_value=-4, max_value=4))
def test_o54_one_step_of_drift_is_allowed_and_no_more(step: int, drift: int) -> None:
    found = totp.step_of(SECRET, totp.code(SECRET, step + drift), step * 30)
    assert (found is not None and found - step in (-1, 0, 1)) or abs(drift) > 1


@pytest.mark.parametrize("given", ["", "28708", "2870822", "28708é", "２８７０８２"])
def test_what_is_no_code_fits_nothing(given: str) -> None:
    assert totp.step_of(SECRET, given, 59) is None


def test_the_picture_says_what_a_device_needs() -> None:
    found = urlsplit(totp.address(SECRET, "Riverside: North", "ann lee"))
    assert (found.scheme, found.netloc, found.path) == ("otpauth", "totp", "/Riverside%3A%20North:ann%20lee")
    assert parse_qs(found.query)["secret"] == ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"]
    assert totp.written(SECRET).replace(" ", "") == parse_qs(found.query)["secret"][0]


def test_recovery_codes_are_known_however_they_are_typed() -> None:
    codes = totp.recovery_codes()
    assert len(set(codes)) == 10
    assert all(totp.is_recovery_code(each) for each in codes)
    assert totp.digest(codes[0]) == totp.digest(codes[0].upper().replace("-", " "))
    assert not totp.is_recovery_code("287082")
