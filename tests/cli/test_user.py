"""`fhir-server user …`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from argon2 import PasswordHasher

from fhir_server.auth import passwords
from tests.cli.conftest import Command

Answer = Callable[..., Any]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords.Passwords.__init__, "__defaults__", (PasswordHasher(1, 64, 1),))


def test_a_person_from_first_day_to_last(command: Command, answer: Answer) -> None:
    answer("tenant", "create", "riverside")
    about = ("--tenant", "riverside")
    added = answer(
        "user", "add", "Ann", *about, "--name", "Ann Lee", "--role", "nurse", "--fhir-user", "Practitioner/p1"
    )
    assert (added["username"], added["roles"], added["patients"]) == ("ann", ["nurse"], None)
    assert len(added["password"]) == 24
    assert answer("user", "set", "ann", *about, "--role", "physician", "--patient", "p7")["roles"] == ["physician"]
    assert answer("user", "disable", "ann", *about)["disabled"] is True
    assert answer("user", "enable", "ANN", *about)["disabled"] is False
    assert answer("user", "reset-mfa", "ann", *about)["secondFactor"] is False
    assert answer("user", "unlock", "ann", *about)["username"] == "ann"
    assert answer("user", "reset-password", "ann", *about)["password"] != added["password"]
    listed = answer("user", "list", *about)
    assert [(each["id"], each["patients"]) for each in listed] == [(added["id"], ["p7"])]
    assert not {"password", "secret", "recovery"} & listed[0].keys()
    assert command("user", "add", "ann", *about).exit_code == 1


def test_a_person_reads_tables_and_sentences(command: Command, answer: Answer) -> None:
    answer("tenant", "create", "lakeside")
    assert "There is nobody yet" in command("user", "list", "--tenant", "lakeside").stdout
    assert "bo signs in with" in command("user", "add", "bo", "--tenant", "lakeside").stdout
    assert "not yet" in command("user", "list", "--tenant", "lakeside").stdout
    assert "bo is disabled." in command("user", "disable", "bo", "--tenant", "lakeside").stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("add", "x", "--fhir-user", "Observation/1"), "not the resource of a person"),
        (("add", "x", "--patient", "Patient/1"), "without 'Patient/'"),
        (("add", "x", "--role", "boss"), "is no role; there are"),
        (("add", "x", "--account", "nobody"), "no legacy account"),
        (("set", "x"), "Nothing to change"),
        (("disable", "nobody"), "There is no user 'nobody'"),
    ],
    ids=lambda each: "-".join(each[:2]) if isinstance(each, tuple) else "",
)
def test_what_is_wrong_is_said(command: Command, words: tuple[str, ...], reason: str) -> None:
    command("tenant", "create", "hillside")
    result = command("user", *words, "--tenant", "hillside")
    assert result.exit_code in (1, 2)
    assert reason in " ".join(result.stderr.split())
