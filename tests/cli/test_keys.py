"""`fhir-server keys`"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from fhir_server.jobs import reencrypt
from fhir_server.store import retirement, shredding
from tests.cli.conftest import Command

LONG_AGO = {
    "resourceType": "Observation",
    "id": "v1",
    "status": "final",
    "code": {"text": "weight"},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "1990-01-01",
}
NOW = ("--window", "0")
Answer = Callable[..., Any]


@pytest.fixture(autouse=True)
def _wrapped(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "kek-of-commands"
    if not file.exists():
        file.write_bytes(b"the key that wraps in this test.")
        file.chmod(0o600)
    monkeypatch.setenv("FHIR_KEK", f"file:{file}")
    monkeypatch.setattr(reencrypt, "SETTLED", 0.0)
    monkeypatch.setattr(shredding, "SETTLED", 0.0)
    monkeypatch.setattr(retirement, "MARGIN", timedelta(0))


def filled(command: Command, tmp_path: Path, tenant: str) -> None:
    """One patient of long ago, and somebody who is no patient."""
    command("tenant", "create", tenant)
    patient = {"resourceType": "Patient", "id": "p1", "birthDate": "1940-01-01"}
    (tmp_path / "p.json").write_text(json.dumps(patient))
    (tmp_path / "o.json").write_text(json.dumps({"resourceType": "Organization", "id": "o1", "name": "A"}))
    result = command("load", "--tenant", tenant, str(tmp_path / "p.json"), str(tmp_path / "o.json"))
    assert result.exit_code == 0, result.output


def test_a_data_key_is_replaced_sealed_anew_and_destroyed(command: Command, answer: Answer, tmp_path: Path) -> None:
    filled(command, tmp_path, "riverside")
    found = answer("keys", "list", "-t", "riverside")
    data = {each["key_id"]: each for each in found["keys"]}["data/1"]
    assert (data["state"], data["versions"], found["patients"]) == ("active", 1, {"active": 1})
    assert "wrapped" not in data
    assert answer("keys", "rotate", "-t", "riverside", "--because", "It is time")["key"] == "data/2"
    refused = command("keys", "retire", "-t", "riverside", "--key", "data/1", *NOW)
    assert refused.exit_code == 1
    assert "still opens 1 versions of resources" in " ".join(refused.stderr.split())
    done = answer("keys", "reencrypt", "-t", "riverside")
    assert (done["state"], done["done"], done["error"]) == ("finished", 1, None)
    refused = command("keys", "retire", "-t", "riverside", "--key", "data/1")
    assert "or a backup that is still kept" in " ".join(refused.stderr.split())
    assert answer("keys", "retire", "-t", "riverside", "--key", "data/1", *NOW)["destroyed"] == 1
    states = {each["key_id"]: each["state"] for each in answer("keys", "list", "-t", "riverside")["keys"]}
    assert (states["data/1"], states["data/2"]) == ("destroyed", "active")
    told = [each["action"] for each in answer("keys", "events", "-t", "riverside")]
    assert told == ["rotated", "sealed anew", "destroyed"]
    assert "It is time" in command("keys", "events", "-t", "riverside").stdout
    assert "data/2" in command("keys", "list", "-t", "riverside").stdout


def test_patients_get_other_keys(command: Command, answer: Answer, tmp_path: Path) -> None:
    filled(command, tmp_path, "lakeside")
    assert answer("keys", "reencrypt", "-t", "lakeside", "--patients")["done"] == 1
    assert answer("keys", "list", "-t", "lakeside")["patients"] == {"active": 1, "retired": 1}
    assert answer("keys", "retire", "-t", "lakeside", "--patients", *NOW)["destroyed"] == 1


def test_another_kek_wraps_all_keys(
    command: Command, answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(command, tmp_path, "hillside")
    former = json.loads(command("keys", "list", "-t", "hillside", "--json").stdout)
    (tmp_path / "new").write_bytes(b"another key that wraps in tests.")
    (tmp_path / "new").chmod(0o600)
    old = os.environ["FHIR_KEK"]
    monkeypatch.setenv("FHIR_KEK", f"file:{tmp_path / 'new'}")
    assert "name the former one with --from" in " ".join(command("keys", "rewrap", "-t", "hillside").stderr.split())
    (done,) = answer("keys", "rewrap", "-t", "hillside", "--from", old)
    assert done["rewrapped"] == len(former["keys"])
    assert done["by"] != former["kek"]
    assert answer("keys", "list", "-t", "hillside")["kek"] == done["by"]


def test_policies_are_set_listed_applied_and_dropped(command: Command, answer: Answer, tmp_path: Path) -> None:
    filled(command, tmp_path, "parkside")
    answer("keys", "policy", "set", "yearly", "-t", "parkside", "--days", "365")
    answer("keys", "policy", "set", "incidents", "-t", "parkside", "--event", "compromise")
    listed = {each["name"]: each for each in answer("keys", "policy", "list", "-t", "parkside")}
    assert (listed["yearly"]["intervalDays"], listed["incidents"]["events"]) == (365, ["compromise"])
    assert "yearly" in command("keys", "policy", "list", "-t", "parkside").stdout
    assert answer("keys", "list", "-t", "parkside")["next_rotation"] is not None
    assert answer("keys", "policy", "report", "staff-leaving", "-t", "parkside")["rotated"] is False
    assert answer("keys", "policy", "report", "compromise", "-t", "parkside")["rotated"] is True
    answer("keys", "policy", "drop", "yearly", "-t", "parkside")
    assert [each["name"] for each in answer("keys", "policy", "list", "-t", "parkside")] == ["incidents"]


def recorded(mongo_url: str, database_name: str, tenant: str) -> list[str]:
    """Outcome and action of what the audit trail says of a patient."""
    with MongoClient[dict[str, Any]](mongo_url) as client:
        kept = client[database_name]["audit"].find({"t": tenant, "cmp": "Patient/p1"}).sort([("lu", 1)])
        events = [json.loads(bytes(each["body"])) for each in kept]
    assert all(each["agent"][0]["who"]["identifier"]["value"].startswith("operator:") for each in events)
    named = [(each["outcome"], each["entity"][0]["detail"][0]["valueString"]) for each in events]
    return [f"{outcome} {action}" for outcome, action in named]


def test_a_patient_is_shredded_with_a_certificate(
    command: Command, answer: Answer, tmp_path: Path, mongo_url: str, database_name: str
) -> None:
    filled(command, tmp_path, "bayside")
    for name in ("ada", "ben"):
        assert command("user", "add", name, "-t", "bayside", "--name", name.title()).exit_code == 0
    order = ("keys", "shred", "-t", "bayside", "--patient", "p1", "--reason", "It is over", "--approved-by", "ada")
    refused = command(*order, "--yes")
    assert "Two different people have to approve" in " ".join(refused.stderr.split())
    assert "Nothing was destroyed" in command(*order, "--approved-by", "ben", input="p2\n").stderr
    refused = command(*order, "--approved-by", "ben", "--yes")
    assert "The record of Patient/p1 is to be kept until" in " ".join(refused.stderr.split())
    (tmp_path / "v.json").write_text(json.dumps(LONG_AGO))
    command("load", "--tenant", "bayside", str(tmp_path / "v.json"))
    done = answer(*order, "--approved-by", "ben", "--yes")
    assert (done["patient"], done["current"], done["reason"]) == ("Patient/p1", 2, "It is over")
    assert done["signed"].count(".") == 2
    assert recorded(mongo_url, database_name, "bayside") == ["4 shred", "4 shred", "0 shredded"]
    assert answer("keys", "list", "-t", "bayside")["patients"] == {"destroyed": 1}
    assert done["signed"] in command(*order, "--approved-by", "ben", input="p1\n").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rotate -t nobody", "There is no tenant 'nobody'"),
        ("rotate -t nobody --signing", "There is no tenant 'nobody'"),
        ("rotate -t plain", "Tenant 'plain' is not encrypted"),
        ("rotate -t plain --drop", "give --signing as well"),
        ("retire -t plain", "Name a key with --key"),
        ("policy set x -t plain", "A policy is of one kind"),
        ("policy set x -t plain --days 1 --uses 2", "A policy is of one kind"),
        ("policy set x -t plain --event rain", "'rain' is none of"),
        ("policy report rain -t plain", "'rain' is none of"),
    ],
)
def test_what_cannot_be_done_is_said(command: Command, words: str, said: str) -> None:
    command("tenant", "create", "plain", "--plain")
    result = command("keys", *words.split())
    assert result.exit_code != 0
    assert said in " ".join(result.stderr.replace("│", " ").split())
