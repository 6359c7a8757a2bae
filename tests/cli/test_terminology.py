"""`fhir-server terminology load`"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.cli import terminology
from fhir_server.fhir.entry import EntryRequest
from fhir_server.fhir.outcome import FhirError
from fhir_server.interactions.context import Context
from fhir_server.interactions.table import context
from fhir_server.store.concepts import Concepts
from fhir_server.store.connection import opened
from tests.cli.conftest import Command

Answer = Callable[..., Any]

TREE = """code,display,parent
animal,Animal,
cat,A cat,animal
kitten,Kitten,cat
wet,Wet,
fish,Fish,animal
fish,Fish,wet
"""
URL = "urn:animals"


@pytest.fixture(autouse=True)
def tenant(command: Command) -> None:
    command("tenant", "create", "words")


@pytest.fixture
def load(answer: Answer) -> Callable[..., Any]:
    def loaded(file: Path, *more: str) -> Any:
        (found,) = answer("terminology", "load", "--tenant", "words", *more, str(file))
        return found

    return loaded


@pytest.fixture
def ask(mongo_url: str, database_name: str) -> Callable[[str], Any]:
    """What the tenant answers to a GET."""

    async def asked(url: str) -> Any:
        async with opened(mongo_url=mongo_url, database=database_name) as store:
            tenant = await store.tenants.get("words")
            assert tenant
            ctx: Context = context(
                store.repository(tenant, Caller.system("words", "test")),
                base="http://x/fhir/words",
                cursor_key=b"k" * 32,
            )
            return json.loads((await ctx.perform(ctx, EntryRequest("GET", url))).body or b"")

    return lambda url: asyncio.run(_of(asked(url)))


async def _of(work: Coroutine[Any, Any, Any]) -> Any:
    return await work


def expanded(answer: Any) -> list[str]:
    return [each["code"] for each in answer["expansion"].get("contains", [])]


def value_set(*filters: dict[str, str]) -> dict[str, Any]:
    include = {"system": URL, **({"filter": list(filters)} if filters else {})}
    return {
        "resourceType": "ValueSet",
        "id": "v",
        "url": "urn:v",
        "status": "active",
        "compose": {"include": [include]},
    }


def test_a_table_answers_like_a_resource(load: Answer, answer: Answer, ask: Answer, tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text(TREE)
    found = load(tmp_path / "codes.csv", "--system", URL, "--version", "1")
    assert (found["concepts"], found["already"], found["version"]) == (5, 0, "1")
    assert load(tmp_path / "codes.csv", "--system", URL, "--version", "1")["already"] == 5
    (tmp_path / "v.json").write_text(json.dumps(value_set({"property": "concept", "op": "is-a", "value": "animal"})))
    answer("load", "--tenant", "words", str(tmp_path / "v.json"))
    assert ask(found["resource"])["content"] == "not-present"
    assert expanded(ask("ValueSet/v/$expand")) == ["animal", "cat", "kitten", "fish"]
    assert expanded(ask("ValueSet/v/$expand?filter=kit")) == ["kitten"]
    pairs = [("animal", "kitten", "subsumes"), ("fish", "wet", "subsumed-by"), ("cat", "fish", "not-subsumed")]
    for one, other, outcome in pairs:
        said = ask(f"CodeSystem/$subsumes?system={URL}&codeA={one}&codeB={other}")
        assert said["parameter"][0]["valueCode"] == outcome
    children = ask(f"CodeSystem/$lookup?system={URL}&code=animal&property=child")["parameter"][3:]
    assert [each["part"][1]["valueCode"] for each in children] == ["cat", "fish"]
    checked = ask(f"ValueSet/v/$validate-code?system={URL}&code=wet")["parameter"]
    assert checked[0]["valueBoolean"] is False


def test_searches_go_by_it(load: Answer, answer: Answer, ask: Answer, tmp_path: Path) -> None:
    (tmp_path / "codes.tsv.gz").write_bytes(gzip.compress(TREE.replace(",", "\t").encode()))
    load(tmp_path / "codes.tsv.gz", "--system", URL, "--version", "1")
    condition = {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p"}}
    condition["code"] = {"coding": [{"system": URL, "code": "kitten"}]}
    patient = {"resourceType": "Patient", "id": "p"}
    (tmp_path / "c.ndjson").write_text(f"{json.dumps(patient)}\n{json.dumps(condition)}\n")
    answer("load", "--tenant", "words", str(tmp_path / "c.ndjson"))
    for query, total in (("code:below=urn:animals|cat", 1), ("code:below=urn:animals|wet", 0)):
        assert ask(f"Condition?{query}")["total"] == total
    assert ask("Condition?code:above=urn:animals|kitten")["total"] == 1


def test_the_code_tables_of_the_mappings_translate(answer: Answer, ask: Answer) -> None:
    urls = answer("terminology", "maps", "--tenant", "words")
    (url,) = [each for each in urls if each.endswith("/gender")]
    system = url.replace("ConceptMap", "CodeSystem")
    found = ask(f"ConceptMap/$translate?url={url}&system={system}&code=f")["parameter"]
    assert found[1]["part"][1]["valueCoding"] == {
        "system": "http://hl7.org/fhir/administrative-gender",
        "code": "female",
    }


def test_a_code_system_is_replaced_by_the_next_load(load: Answer, ask: Answer, tmp_path: Path) -> None:
    system = {"resourceType": "CodeSystem", "id": "own", "url": "urn:own", "status": "active", "content": "complete"}
    for codes in (["a", "b"], ["B"]):
        text = json.dumps({**system, "caseSensitive": False, "concept": [{"code": code} for code in codes]})
        (tmp_path / "own.json").write_text(text)
        assert load(tmp_path / "own.json")["resource"] == "CodeSystem/own"
    assert ask("CodeSystem/$validate-code?url=urn:own&code=b")["parameter"][0]["valueBoolean"] is True
    assert ask("CodeSystem/$validate-code?url=urn:own&code=a")["parameter"][0]["valueBoolean"] is False
    assert ask("CodeSystem/own")["count"] == 1


def test_what_was_interrupted_goes_on(
    load: Answer, command: Command, ask: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminology, "TOGETHER", 2)
    keep, written = Concepts.keep, []

    async def failing(self: Concepts, name: str, rows: Any) -> None:
        if len(written) == 2:
            raise FhirError([], status=503)
        written.append(rows)
        await keep(self, name, rows)

    (tmp_path / "codes.csv").write_text("code\n" + "\n".join("abcdefg"))
    arguments = ("terminology", "load", "--tenant", "words", "--system", "urn:long", str(tmp_path / "codes.csv"))
    with monkeypatch.context() as broken:
        broken.setattr(Concepts, "keep", failing)
        assert command(*arguments).exit_code == 1
    assert ask("CodeSystem?url=urn:long")["total"] == 0
    assert load(tmp_path / "codes.csv", "--system", "urn:long")["already"] == 4
    assert ask("CodeSystem/$validate-code?url=urn:long&code=g")["parameter"][0]["valueBoolean"] is True


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.csv", "code,display\na,A\na,B\n", "stands twice"),
        ("x.csv", "code,parent\na,b\n", "has the parent 'b'"),
        ("x.csv", "code\n\n,\n", "has no"),
        ("x.csv", "kode\na\n", "first line"),
        ("x.json", '{"resourceType": "Patient"}', "holds a Patient"),
        ("x.json", '{"resourceType": "CodeSystem", "status": "active", "content": "complete"}', "no url"),
        (
            "x.json",
            '{"resourceType": "CodeSystem", "url": "urn:x", "status": "active", "content": "complete"}',
            "no con",
        ),
    ],
)
def test_a_faulty_file_is_refused(command: Command, tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    result = command("terminology", "load", "--tenant", "words", "--system", "urn:x", str(tmp_path / name))
    assert result.exit_code == 1
    assert says in " ".join(result.stderr.split())


def test_a_table_needs_a_name(command: Command, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("code\na\n")
    result = command("terminology", "load", "--tenant", "words", str(tmp_path / "x.csv"))
    assert "--system" in result.stderr
