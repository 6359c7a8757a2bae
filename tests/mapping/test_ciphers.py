"""Values as legacy systems seal them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.mapping.ciphers import SCHEMES, Unopened
from seed.sealing import SAMPLE_KEY, sealed, sealed_cbc, sealed_gcm

SEALERS = {"fernet": sealed, "aes-256-gcm": sealed_gcm, "aes-256-cbc": sealed_cbc}
OTHER_KEY = "A" * 43 + "="


def test_every_scheme_is_tested() -> None:
    assert SEALERS.keys() == SCHEMES.keys()


@pytest.mark.parametrize("scheme", SCHEMES)
@given(value=st.text())
def test_what_is_sealed_opens(scheme: str, value: str) -> None:
    assert SCHEMES[scheme](SAMPLE_KEY)(SEALERS[scheme](value)).decode() == value


@pytest.mark.parametrize("scheme", ["fernet", "aes-256-gcm"])
def test_another_key_does_not_open(scheme: str) -> None:
    with pytest.raises(Unopened):
        SCHEMES[scheme](OTHER_KEY)(SEALERS[scheme]("123-45-6789"))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("value", ["", "plain text", "AAAA", b"", b"\x00" * 40, 7])
def test_what_is_not_sealed_does_not_open(scheme: str, value: object) -> None:
    with pytest.raises(Unopened):
        SCHEMES[scheme](OTHER_KEY)(value)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("key", ["", "short", "!" * 44, "A" * 64 + "=" * 3])
def test_what_is_no_key_is_refused(scheme: str, key: str) -> None:
    with pytest.raises(ValueError):
        SCHEMES[scheme](key)


@pytest.mark.parametrize("scheme", ["aes-256-gcm", "aes-256-cbc"])
def test_a_key_may_be_hexadecimal(scheme: str) -> None:
    key = bytes(range(32))
    written = base64.urlsafe_b64encode(key).decode()
    assert SCHEMES[scheme](key.hex())(SEALERS[scheme]("x", written)) == b"x"
