"""`fhir-server provider …`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command

Answer = Callable[..., Any]

AT = ("-t", "riverside")
THERE = (*AT, "--issuer", "https://login.example/r", "--client-id", "fhir")


@pytest.fixture(autouse=True)
def tenant(command: Command) -> None:
    command("tenant", "create", "riverside")


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text("very secret\n")
    return str(file)


def test_a_provider_from_beginning_to_end(answer: Answer, command: Command, secret: str) -> None:
    words = ("--title", "Health", "--match", "upn", "--parameter", "domain_hint=r.example", "--acr", "urn:two")
    made = answer("provider", "set", *THERE, *words, "--secret-file", secret, "--trust-second-factor")
    assert made["token_endpoint_auth_method"] == "client_secret_basic"
    assert made["redirect_uri"].endswith("/auth/riverside/provider-answer")
    assert (made["match"], made["parameters"], made["acr_values"]) == ("upn", {"domain_hint": "r.example"}, ["urn:two"])
    assert made["second_factor_trusted"] is True
    for shown in (command("provider", "show", *AT), command("provider", "show", *AT, "--json")):
        assert "very secret" not in shown.output
    command("user", "add", "ann", *AT)
    assert answer("provider", "link", "Ann", *AT, "--subject", "s1") == {"username": "ann", "subject": "s1"}
    answer("provider", "link", "ann", *AT, "--subject", "s2")
    command("user", "add", "bo", *AT)
    refused = command("provider", "link", "bo", *AT, "--subject", "s2")
    assert (refused.exit_code, "another user already" in refused.output) == (1, True)
    answer("provider", "unlink", "ann", *AT)
    answer("provider", "link", "bo", *AT, "--subject", "s2")
    assert answer("provider", "remove", *AT) == {"removed": "riverside", "signedOut": 1}
    assert "has no identity provider" in command("provider", "show", *AT).output


def test_a_key_instead_of_a_secret(answer: Answer, command: Command) -> None:
    made = answer("provider", "set", *THERE, "--key")
    assert (made["token_endpoint_auth_method"], made["title"]) == ("private_key_jwt", "login.example")
    assert made["jwks_uri"].endswith("/auth/riverside/jwks")
    assert "key set" in command("provider", "show", *AT).output


def test_a_secret_is_asked_for(command: Command) -> None:
    said = command("provider", "set", *THERE, input="typed\n")
    assert (said.exit_code, "typed" in said.output) == (0, False)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--issuer", "login.example", "--client-id", "x"], "no issuer"),
        (["--issuer", "https://login.example/?x", "--client-id", "x"], "no issuer"),
        (["--issuer", "https://u:p@login.example/", "--client-id", "x"], "no issuer"),
        (["--issuer", "ftp://login.example/", "--client-id", "x"], "no issuer"),
        (["--issuer", "https://login.example/", "--client-id", "ü"], "printable ASCII"),
        (["--issuer", "https://login.example/", "--client-id", "x", "--scope", "profile"], "'openid'"),
        (["--issuer", "https://login.example/", "--client-id", "x", "--parameter", "nonce=1"], "by the server"),
        (["--issuer", "https://login.example/", "--client-id", "x", "--parameter", "hint"], "NAME=VALUE"),
    ],
)
def test_what_cannot_be(command: Command, words: list[str], reason: str) -> None:
    said = command("provider", "set", *AT, *words, "--key")
    assert said.exit_code == 2
    assert reason in said.output


def test_a_provider_that_does_not_answer(command: Command) -> None:
    command("provider", "set", *AT, "--issuer", "https://127.0.0.1/x", "--client-id", "fhir", "--key")
    said = command("provider", "check", *AT)
    assert (said.exit_code, "not public" in said.output) == (1, True)
