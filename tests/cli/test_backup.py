"""`fhir-server backup`, as a person would call it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.cli.conftest import Command


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "backup.key"
    path.write_bytes(secrets.token_bytes(32))
    path.chmod(0o600)
    return str(path)


def recorded(mongo_url: str, database_name: str) -> list[tuple[str, str]]:
    """Which events there are, and of which tenants."""
    with MongoClient[dict[str, Any]](mongo_url) as client:
        found = client[database_name].audit.find({}, {"body": 1, "t": 1}).sort("lu").to_list()
    events = [(json.loads(each["body"])["subtype"][-1]["display"], each["t"]) for each in found]
    return [(what, tenant) for what, tenant in events if "Backup" in what]


def test_a_tenant_there_and_back(
    command: Command, answer: Callable[..., Any], key: str, tmp_path: Path, mongo_url: str, database_name: str
) -> None:
    folder = tmp_path / "backups"
    assert command("tenant", "create", "acme").exit_code == 0
    made = answer("backup", "create", "--to", str(folder), "--tenant", "acme", "--key-file", key)
    assert made["documents"] >= 1
    assert recorded(mongo_url, database_name) == [("Backup made", "acme")]
    [read] = answer("backup", "verify", made["files"][0], "--key-file", key)
    assert (read["documents"], read["root"]) == (made["documents"], made["root"])
    assert {each["kind"] for each in answer("backup", "list", str(folder))} == {"full", "keys"}
    assert command("tenant", "erase", "acme", "--yes").exit_code == 0
    restored = answer("backup", "restore", made["files"][0], "--key-file", key)
    assert restored["tenants"] == ["acme"]
    assert restored["seconds"] > 0
    assert recorded(mongo_url, database_name) == [("Backup restored", "acme")]
    again = command("backup", "restore", made["files"][0], "--key-file", key)
    assert again.exit_code == 1
    assert "has a tenant 'acme' already" in again.output


def test_a_whole_store_into_another(
    command: Command,
    answer: Callable[..., Any],
    key: str,
    tmp_path: Path,
    mongo_url: str,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In which a server has run already; afterwards the audit trail is whole."""
    assert command("tenant", "create", "whole").exit_code == 0
    for _ in range(2):
        made = answer("backup", "create", "--to", str(tmp_path), "--key-file", key)
    monkeypatch.setenv("FHIR_DATABASE", f"{database_name}_2")
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[f"{database_name}_2"].audit_writers.insert_many(
            [{"_id": "keeper", "owner": "x"}, {"_id": "|p1", "p": "p1"}]
        )
        restored = answer("backup", "restore", made["files"][0], "--key-file", key)
        assert "whole" in restored["tenants"]
        verified = command("audit", "verify", "--tenant", "whole")
        assert verified.exit_code == 0, verified.output
        client.drop_database(f"{database_name}_2")


def test_verify_says_what_is_wrong(command: Command, answer: Callable[..., Any], key: str, tmp_path: Path) -> None:
    made = answer("backup", "create", "--to", str(tmp_path / "backups"), "--key-file", key)
    bad = tmp_path / "bad.fhirbackup"
    bad.write_bytes(Path(made["files"][0]).read_bytes()[:-1])
    found = command("backup", "verify", made["files"][0], str(bad), "--key-file", key)
    assert found.exit_code == 1
    assert "bad.fhirbackup ends within a chunk" in " ".join(found.output.split())


def test_a_backup_is_never_made_in_the_clear(command: Command, tmp_path: Path) -> None:
    found = command("backup", "create", "--to", str(tmp_path / "backups"))
    assert found.exit_code == 1
    assert "--key-file" in found.output
    assert not (tmp_path / "backups").exists()


def test_a_tenant_that_is_not_there(command: Command, key: str, tmp_path: Path) -> None:
    found = command("backup", "create", "--to", str(tmp_path), "--tenant", "nobody", "--key-file", key)
    assert found.exit_code == 1
    assert "no tenant 'nobody'" in found.output
