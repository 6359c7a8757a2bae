"""`fhir-server retention …`"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Command

Answer = Callable[..., Any]
OF = ("--tenant", "riverside")
APPROVED = ("--apply", "--approved-by", "ann", "--approved-by", "bo")
RESOURCES = [
    {"resourceType": "Patient", "id": "ada", "birthDate": "1950-01-01"},
    {"resourceType": "Patient", "id": "dan"},
    {
        "resourceType": "Procedure",
        "id": "x",
        "status": "completed",
        "subject": {"reference": "Patient/ada"},
        "performedDateTime": "2001-02-03",
    },
]


def test_from_the_report_to_the_certificate(command: Command, answer: Answer, tmp_path: Path) -> None:
    answer("tenant", "create", "riverside")
    (tmp_path / "all.ndjson").write_text("\n".join(map(json.dumps, RESOURCES)))
    answer("load", *OF, str(tmp_path))
    lines = answer("retention", "report", *OF)
    assert [(each["patients"], each["state"], each["until"]) for each in lines] == [
        (["Patient/ada"], "due", "2011-02-03"),
        (["Patient/dan"], "unknown", None),
    ]
    assert "1 due, 0 kept, 0 held, 1 unknown" in command("retention", "report", *OF).stdout
    added = answer("retention", "add-rule", "ours", *OF, "--source", "contract 17", "--years", "90")
    assert added["years"] == 90
    assert [each["name"] for each in answer("retention", "rules", *OF) if each["own"]] == ["ours"]
    assert "contract 17" in command("retention", "rules", *OF).stdout
    assert answer("retention", "run", *OF) == {"due": []}
    assert answer("retention", "remove-rule", "ours", *OF) == {"removed": "ours"}
    (due,) = answer("retention", "run", *OF)["due"]
    assert (due["patients"], due["resources"], due["rule"]) == (["Patient/ada"], 2, "texas-hospital")
    assert "1 due, 2 resources" in command("retention", "run", *OF).stdout
    for name in ("ann", "bo"):
        answer("user", "add", name, *OF)
    (issued,) = answer("retention", "run", *OF, *APPROVED)["certificates"]
    assert (issued["persons"], issued["resources"], issued["versions"]) == (1, 2, 2)
    assert "Nothing is due" in command("retention", "run", *OF, *APPROVED).stdout
    (listed,) = answer("certificate", "list", *OF)
    shown = answer("certificate", "show", listed["certificate"], *OF)
    assert shown["content"]["approved_by"] == ["ann", "bo"]
    assert "bo" in command("certificate", "show", listed["certificate"], *OF).stdout


def test_what_is_refused_is_said(command: Command, answer: Answer) -> None:
    answer("tenant", "create", "lakeside")
    of = ("--tenant", "lakeside")
    rule = ("--source", "x", "--years", "1")
    for words, reason in (
        (("run", *of, "--apply"), "Two different people"),
        (("run", *of, "--apply", "--approved-by", "ann"), "nobody of this name may sign in"),
        (("add-rule", "emr", *of, *rule), "There is a rule 'emr' already"),
        (("add-rule", "ours", *of, *rule, "--class", "secret"), "no class of record"),
        (("remove-rule", "emr", *of), "no rule of its own"),
        (("report", "--tenant", "nobody"), "no tenant 'nobody'"),
    ):
        result = command("retention", *words)
        assert result.exit_code == 1
        assert reason in " ".join(result.stderr.split())
