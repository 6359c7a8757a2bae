"""`fhir-server load`"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command

Answer = Callable[..., Any]


@pytest.fixture(autouse=True)
def tenant(command: Command) -> None:
    command("tenant", "create", "riverside")


def patient(resource_id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": resource_id, **more}


def ndjson(*resources: dict[str, Any]) -> str:
    return "\n".join(map(json.dumps, resources)) + "\n"


def counts(result: dict[str, Any]) -> tuple[int, int, int, int]:
    return result["created"], result["updated"], result["unchanged"], result["failed"]


def test_loading_again_changes_nothing(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(patient("a1", active=True)))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/more.ndjson").write_text(ndjson(patient("a2"), patient("a3")) + "\n")
    (tmp_path / "deeper/packed.ndjson.gz").write_bytes(gzip.compress(ndjson(patient("a4")).encode()))
    (tmp_path / "README.txt").write_text("not a resource")
    assert counts(answer("load", "--tenant", "riverside", str(tmp_path))) == (4, 0, 0, 0)
    (tmp_path / "one.json").write_text(json.dumps(patient("a1", active=False)))
    assert counts(answer("load", "--tenant", "riverside", str(tmp_path))) == (0, 1, 3, 0)


def test_a_transaction_is_performed_and_a_collection_unpacked(answer: Answer, tmp_path: Path) -> None:
    request = {"method": "PUT", "url": "Patient/b1"}
    transaction = {"type": "transaction", "entry": [{"resource": patient("b1"), "request": request}]}
    collection = {"type": "collection", "entry": [{"resource": patient("b2")}, {"resource": patient("b3")}]}
    for name, bundle in (("1.json", transaction), ("2.json", collection)):
        (tmp_path / name).write_text(json.dumps({"resourceType": "Bundle", **bundle}))
    assert counts(answer("load", "--tenant", "riverside", str(tmp_path))) == (3, 0, 0, 0)


def test_what_cannot_be_stored_is_named_and_the_rest_is_stored(command: Command, tmp_path: Path) -> None:
    lines = [json.dumps(patient("c1")), "{", json.dumps(patient("c2", colour="red")), json.dumps(patient("c3"))]
    path = tmp_path / "some.ndjson"
    path.write_text("\n".join(lines))
    result = command("load", "--tenant", "riverside", str(path), "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert counts(found) == (2, 0, 0, 2)
    assert [failure.partition(": ")[0] for failure in found["failures"]] == [f"{path}:2", f"{path}:3"]


def test_a_bad_batch_entry_is_a_failure(command: Command, tmp_path: Path) -> None:
    entries = [
        {"resource": patient("d1"), "request": {"method": "PUT", "url": "Patient/d1"}},
        {"request": {"method": "GET", "url": "Patient/none"}},
    ]
    path = tmp_path / "batch.json"
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries}))
    result = command("load", "--tenant", "riverside", str(path))
    assert result.exit_code == 1
    assert "entry[1]" in " ".join(result.stderr.split())


def test_a_bad_transaction_stores_nothing(command: Command, tmp_path: Path) -> None:
    entries = [
        {"resource": patient("e1"), "request": {"method": "PUT", "url": "Patient/e1"}},
        {"resource": patient("e2", colour="red"), "request": {"method": "PUT", "url": "Patient/e2"}},
    ]
    path = tmp_path / "transaction.json"
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    result = command("load", "--tenant", "riverside", str(path), "--json")
    assert result.exit_code == 1
    assert counts(json.loads(result.stdout)) == (0, 0, 0, 1)


def test_a_tenant_must_be_there(command: Command, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert command("load", "--tenant", "nobody", str(tmp_path)).exit_code == 1
    assert command("load", "--tenant", "riverside", str(tmp_path / "missing.json")).exit_code == 2
