"""Base64 for URLs: there and back, and one form only.  RFC 4648 §5"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.crypto import base64url


@given(st.binary())
def test_there_and_back(octets: bytes) -> None:
    text = base64url.encoded(octets)
    assert base64url.decoded(text) == octets
    assert set(text).isdisjoint("+/=")


@pytest.mark.parametrize("text", ["AA==", "AB", "A", "A A", "AA\n", "+/", "ä", "AA=", "AAA="])
def test_no_other_form_is_taken(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        base64url.decoded(text)
