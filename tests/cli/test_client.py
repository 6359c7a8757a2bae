"""`fhir-server client …`, `launch …` and `key …`"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.auth.site import JWKS
from tests.cli.conftest import Command

Answer = Callable[..., Any]

PUBLIC = ("--redirect-uri", "https://app.example/cb", "--scope", "launch openid patient/*.rs")


@pytest.fixture(autouse=True)
def tenant(command: Command) -> None:
    command("tenant", "create", "riverside")


@pytest.fixture
def keys(tmp_path: Path) -> str:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(JWKS))
    return str(file)


def test_a_client_from_registration_to_end(answer: Answer, command: Command) -> None:
    made = answer("client", "add", "An App", "-t", "riverside", "--id", "app", "--secret", *PUBLIC)
    assert (made["client_id"], made["token_endpoint_auth_method"]) == ("app", "client_secret_basic")
    assert len(made["client_secret"]) >= 32
    again = answer("client", "rotate", "app", "-t", "riverside")
    assert again["client_secret"] != made["client_secret"]
    assert answer("client", "disable", "app", "-t", "riverside")["status"] == "disabled"
    assert answer("client", "enable", "app", "-t", "riverside")["status"] == "active"
    (listed,) = [each for each in answer("client", "list", "-t", "riverside") if each["client_id"] == "app"]
    assert "client_secret" not in listed
    assert "An App" in command("client", "list", "-t", "riverside").stdout
    assert "is active" in command("client", "approve", "app", "-t", "riverside").stdout


def test_a_backend_service_has_keys(answer: Answer, command: Command, keys: str) -> None:
    words = ("-t", "riverside", "--backend", "--scope", "system/*.rs", "--id", "nightly")
    made = answer("client", "add", "Nightly", *words, "--jwks", keys)
    assert made["grant_types"] == ["client_credentials"]
    cleared = answer("client", "clear", "nightly", "R HIV", "-t", "riverside")
    assert cleared["clearance"] == "R HIV"
    refused = command("client", "clear", "nightly", "XX", "-t", "riverside")
    assert (refused.exit_code, "is no clearance" in " ".join(refused.stderr.split())) == (2, True)
    moved = answer("client", "rotate", "nightly", "-t", "riverside", "--jwks-uri", "https://nightly.example/jwks")
    assert moved["jwks_uri"] == "https://nightly.example/jwks"
    assert "jwks" not in moved


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--scope", "patient/*.rs"], "needs an address"),
        (["--redirect-uri", "http://app.example/", "--scope", "patient/*.rs"], "cannot be an address"),
        ([*PUBLIC[:2], "--scope", "patient/Foo.rs"], "not an R4 resource type"),
        ([*PUBLIC[:2], "--scope", ""], "needs scopes"),
        (["--backend", "--scope", "system/*.rs"], "with a key"),
        ([*PUBLIC, "--id", "../x"], "no id for a client"),
        ([*PUBLIC, "-t", "nobody"], "There is no tenant"),
        ([*PUBLIC, "--launch-url", "ftp://x"], "address of a launch"),
    ],
)
def test_what_cannot_be_registered_is_said(command: Command, words: list[str], reason: str) -> None:
    result = command("client", "add", "X", "-t", "riverside", *words)
    assert result.exit_code != 0
    assert reason in " ".join(result.stderr.split())


def test_what_cannot_be_rotated_is_said(command: Command) -> None:
    command("client", "add", "Open", "-t", "riverside", "--id", "open", *PUBLIC)
    for client_id, reason in (("open", "nothing to rotate"), ("nobody", "no client")):
        result = command("client", "rotate", client_id, "-t", "riverside")
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())


def test_an_id_is_taken_once(command: Command) -> None:
    for code in (0, 1):
        assert command("client", "add", "Twin", "-t", "riverside", "--id", "twin", *PUBLIC).exit_code == code


def test_a_launch_can_be_begun(answer: Answer, command: Command) -> None:
    more = ("--id", "launched", "--launch-url", "https://app.example/launch")
    command("client", "add", "Launched", "-t", "riverside", *more, *PUBLIC)
    made = answer("launch", "create", "launched", "-t", "riverside", "--base-url", "https://fhir.example")
    query = parse_qs(urlsplit(made["launch_url"]).query)
    assert query == {"iss": ["https://fhir.example/fhir/riverside"], "launch": [made["launch"]]}
    assert command("launch", "create", "launched", "-t", "riverside").stdout.startswith("https://app.example/launch?")
    for words, reason in ((["nobody"], "no client"), (["launched", "--patient", "nobody"], "no Patient")):
        result = command("launch", "create", *words, "-t", "riverside")
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())


def test_keys_are_rotated(answer: Answer) -> None:
    first = answer("keys", "rotate", "--signing", "-t", "riverside")
    second = answer("keys", "rotate", "--signing", "-t", "riverside", "--drop")
    assert first["key"] != second["key"]
    assert second["dropped"] is True
