"""`fhir-server token`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.auth.jwt import opened
from tests.cli.conftest import Command

Answer = Callable[..., Any]


@pytest.fixture(autouse=True)
def tenant(command: Command) -> None:
    command("tenant", "create", "riverside")


def test_a_token_is_printed_and_nothing_else(command: Command) -> None:
    printed = command("token", "--tenant", "riverside", "--scope", "patient/*.rs", "--patient", "p1", "--ttl", "60")
    assert printed.exit_code == 0
    assert len(printed.stdout.split()) == 1
    header, claims = opened(printed.stdout.strip())
    assert header["alg"] == "ES384"
    assert (claims["tenant"], claims["patient"], claims["scope"]) == ("riverside", "p1", "patient/*.rs")
    assert claims["exp"] - claims["iat"] == 60


def test_a_token_names_its_audience_where_the_server_has_a_public_url(answer: Answer) -> None:
    minted = answer("token", "--tenant", "riverside", "--base-url", "https://fhir.example/")
    assert opened(minted["token"])[1]["aud"] == "https://fhir.example/fhir/riverside"
    assert opened(answer("token", "--tenant", "riverside")["token"])[1]["aud"] == "/fhir/riverside"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--scope", "patient/Foo.r", "--patient", "p1"], "not an R4 resource type"),
        (["--scope", "patient/*.rs"], "add --patient"),
        (["--scope", "system/*.rs", "--patient", "Patient/p1"], "without 'Patient/'"),
        (["--tenant", "nobody"], "There is no tenant 'nobody'"),
    ],
)
def test_what_cannot_be_minted_is_said(command: Command, words: list[str], reason: str) -> None:
    result = command("token", "--tenant", "riverside", *words)
    assert result.exit_code != 0
    assert reason in " ".join(result.stderr.split())
