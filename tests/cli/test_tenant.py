"""`fhir-server tenant …`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_server.store.tenants import SETTINGS
from tests.cli.conftest import Command

Answer = Callable[..., Any]


def test_a_tenant_from_birth_to_end(command: Command, answer: Answer) -> None:
    assert answer("tenant", "create", "riverside", "--title", "Riverside")["status"] == "active"
    assert [each["name"] for each in answer("tenant", "list")] == ["riverside"]
    assert answer("tenant", "show", "riverside")["title"] == "Riverside"
    assert answer("tenant", "suspend", "riverside")["status"] == "suspended"
    assert answer("tenant", "resume", "riverside")["status"] == "active"
    assert answer("tenant", "erase", "riverside", "--yes") == {"erased": "riverside"}
    assert answer("tenant", "list") == []


def test_a_person_reads_tables_and_sentences(command: Command) -> None:
    assert "/fhir/lakeside" in command("tenant", "create", "lakeside").stdout
    assert "lakeside" in command("tenant", "list").stdout
    assert "active" in command("tenant", "show", "lakeside").stdout
    assert "suspended" in command("tenant", "suspend", "lakeside").stdout


def test_a_name_is_taken_once_and_must_fit_a_url(command: Command) -> None:
    command("tenant", "create", "twice")
    for name, reason in (("twice", "already a tenant"), ("No Name", "no name for a tenant"), ("../x", "no name")):
        result = command("tenant", "create", name)
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())


def test_what_is_not_there_is_said(command: Command) -> None:
    for action in ("show", "suspend", "resume"):
        result = command("tenant", action, "nobody")
        assert result.exit_code == 1
        assert "There is no tenant 'nobody'" in " ".join(result.stderr.split())


def test_nothing_is_erased_by_mistake(command: Command, answer: Answer) -> None:
    answer("tenant", "create", "precious")
    assert command("tenant", "erase", "precious", input="precios\n").exit_code == 1
    assert command("tenant", "erase", "precious", "--json").exit_code == 1
    assert answer("tenant", "show", "precious")["status"] == "active"
    assert command("tenant", "erase", "precious", input="precious\n").exit_code == 0


def test_how_a_tenant_works_can_be_set(command: Command, answer: Answer) -> None:
    answer("tenant", "create", "strict")
    assert answer("tenant", "show", "strict")["settings"]["versioning"] == "versioned"
    others = {name: values[0] for name, values in SETTINGS.items()}
    changed = answer("tenant", "set", "strict", "versioning=versioned-update")["settings"]
    assert changed == {**others, "versioning": "versioned-update"}
    assert "conditional_delete=multiple" in command("tenant", "set", "strict", "conditional_delete=multiple").stdout
    assert answer("tenant", "set", "strict", "words=on")["settings"]["words"] == "on"
    for wrong, reason in (
        ("colour=red", "is no setting"),
        ("versioning=x", "it can be"),
        ("versioning", "it can be"),
        ("words=indexing", "off or on"),
    ):
        result = command("tenant", "set", "strict", wrong)
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())


def test_a_tenant_is_encrypted_where_there_is_a_key(
    command: Command, answer: Answer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused = command("tenant", "create", "sealed", "--encrypted")
    assert refused.exit_code == 1
    assert "FHIR_KEK names no key" in refused.output
    file, policy = tmp_path / "kek", tmp_path / "policy.yaml"
    file.write_bytes(bytes(32))
    file.chmod(0o600)
    policy.write_text("prefix: 3\n")
    monkeypatch.setenv("FHIR_KEK", f"file:{file}")
    created = answer("tenant", "create", "sealed", "--sensitive", str(policy))
    assert (created["encrypted"], created["native"]) == (True, "off")
    assert answer("tenant", "show", "sealed")["encrypted"]
    assert not answer("tenant", "create", "readable", "--plain")["encrypted"]
    assert "not to be encrypted" in command("tenant", "create", "no", "--plain", "--sensitive", str(policy)).output
    policy.write_text("prefix: many\n")
    assert "from 1 to 64" in command("tenant", "create", "no", "--sensitive", str(policy)).output
    assert "is encrypted" in command("tenant", "set", "sealed", "words=on").output


def test_without_its_key_an_encrypted_tenant_is_refused(
    command: Command, answer: Answer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "kek"
    file.write_bytes(bytes(32))
    file.chmod(0o600)
    monkeypatch.setenv("FHIR_KEK", f"file:{file}")
    answer("tenant", "create", "locked")
    monkeypatch.delenv("FHIR_KEK")
    assert "names no key to open it with" in command("token", "--tenant", "locked").output
    assert "names no key to open it with" in command("tenant", "suspend", "locked").output, "it could not be recorded"
    file.write_bytes(bytes(31) + b"1")
    monkeypatch.setenv("FHIR_KEK", f"file:{file}")
    refused = " ".join(command("token", "--tenant", "locked").output.split())
    assert "cannot be opened at the moment" in refused
    assert answer("tenant", "show", "locked")["status"] == "active"
    answer("tenant", "erase", "locked", "--yes")
