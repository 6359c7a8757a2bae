"""`fhir-server hold …` and `fhir-server certificate …`"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Command
from tests.cli.test_recording import kept

Answer = Callable[..., Any]
ORDER = ("--reason", "case 24-117", "--by", "J. Doe")


def test_a_hold_from_its_order_to_its_end(
    command: Command, answer: Answer, tmp_path: Path, mongo_url: str, database_name: str
) -> None:
    answer("tenant", "create", "riverside")
    (tmp_path / "p1.json").write_text(json.dumps({"resourceType": "Patient", "id": "p1"}))
    answer("load", "--tenant", "riverside", str(tmp_path))
    of = ("--tenant", "riverside")
    hold = answer("hold", "place", "Patient/p1", *of, *ORDER)
    assert (hold["subject"], hold["reason"], hold["active"]) == ("Patient/p1", "case 24-117", True)
    assert answer("hold", "list", *of) == [hold]
    assert "Patient/p1" in command("hold", "list", *of).stdout
    erased = command("tenant", "erase", "riverside", "--yes")
    assert erased.exit_code == 1
    assert "under the legal hold" in " ".join(erased.stderr.split())
    released = answer("hold", "release", hold["name"], *of, "--reason", "settled", "--by", "the court")
    assert not released["active"]
    assert answer("hold", "list", *of) == []
    assert answer("hold", "list", *of, "--all") == [released]
    told = [each["entity"][0]["name"] for each in kept(mongo_url, database_name) if is_about_holds(each)]
    assert told == ["Patient/p1", hold["name"]]
    assert answer("tenant", "erase", "riverside", "--yes") == {"erased": "riverside"}


def is_about_holds(event: dict[str, Any]) -> bool:
    return bool(event["subtype"][-1]["code"] == "hold")


def test_what_cannot_be_held_is_said(command: Command, answer: Answer) -> None:
    answer("tenant", "create", "lakeside")
    of = ("--tenant", "lakeside")
    for words, reason in (
        (("place", "Patient/p9", *of, *ORDER), "no Patient with the id 'p9'"),
        (("place", "p9", *of, *ORDER), "must be a type and an id"),
        (("release", "x", *of, *ORDER), "no hold with the id 'x'"),
        (("list", "--tenant", "nobody"), "no tenant 'nobody'"),
    ):
        result = command("hold", *words)
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())
    assert answer("certificate", "list", *of) == []
    assert "no certificate with the id 'x'" in " ".join(command("certificate", "show", "x", *of).stderr.split())
