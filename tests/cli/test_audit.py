"""`fhir-server audit`"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from fhir_server.crypto import chain, ecdsa
from fhir_server.store.anchor import anchored
from fhir_server.store.connection import opened
from tests.cli.conftest import Command
from tests.store.tampering import CLASSES, Copy, Tampering, copied
from tests.store.test_journal import event

Answer = Callable[..., Any]
EVENTS = 24
PARTS = ("audit", "chain", "writers", "checkpoints")


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("anchor") / "anchor.jsonl"


@pytest.fixture(scope="module")
def original(mongo_url: str, database_name: str, anchor: Path) -> Copy:
    """What three processes have recorded, with a checkpoint at the end of each."""

    async def process(first: int) -> Copy:
        async with opened(mongo_url=mongo_url, database=database_name, anchor=anchor) as store:
            if await store.tenants.get("acme") is None:
                await store.tenants.create("acme")
            for number in range(first, first + EVENTS // 3):
                await store.journal.record("acme", event(number))
            await store.journal.close()
            return await copied(store, "acme", list(anchored(anchor, "acme")))

    return [asyncio.run(process(first)) for first in range(0, EVENTS, EVENTS // 3)][-1]


@pytest.fixture
def kept(original: Copy, mongo_url: str, database_name: str) -> Iterator[Callable[[Copy], None]]:
    """Puts a copy into the place of what is recorded, for the time of a test."""
    with MongoClient[dict[str, Any]](mongo_url) as client:

        def keep(copy: Copy) -> None:
            for name in PARTS:
                collection = client[database_name]["audit" if name == "audit" else f"audit_{name}"]
                collection.delete_many({})
                if documents := list(getattr(copy, name).values()):
                    collection.insert_many(documents)

        yield keep
        keep(original)


def test_what_was_left_alone_is_whole(original: Copy, anchor: Path, command: Command, answer: Answer) -> None:
    (found,) = answer("audit", "verify", "--anchor", str(anchor))
    assert found == {
        "tenant": "acme",
        "whole": True,
        "entries": EVENTS + 6,
        "events": EVENTS,
        "checkpoints": 3,
        "anchored": 3,
        "waiting": 0,
        "fault": None,
    }
    said = command("audit", "verify", "--tenant", "acme")
    assert said.exit_code == 0
    assert "acme is whole: 30 entries, 24 events, 3 checkpoints, 0 anchored." in said.stdout


def test_where_nobody_is_nothing_is_called_whole(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_DATABASE", "test_nobody")
    said = command("audit", "verify")
    assert "There are no tenants in the database 'test_nobody'" in " ".join(said.stdout.split())


@pytest.mark.parametrize("tampering", CLASSES, ids=lambda each: each.__name__)
def test_tampering_ends_with_its_place(
    original: Copy, kept: Callable[[Copy], None], anchor: Path, command: Command, tampering: Tampering
) -> None:
    chance = random.Random(tampering.__name__)
    copy = original.changed()
    tampering(copy, chance.choice([each for each in copy.chain.values() if each["e"]]), chance)
    kept(copy)
    found = command("audit", "verify", "--anchor", str(anchor), "--json")
    assert found.exit_code == 1, found.output
    (result,) = json.loads(found.stdout)
    assert not result["whole"]
    assert result["fault"]["what"]
    assert {"entry", "checkpoint", "event"} & {
        name.replace("seq", "entry") for name, at in result["fault"].items() if at
    }
    assert "acme is not whole" in command("audit", "verify", "--anchor", str(anchor)).stdout


def test_what_cannot_be_verified_is_said(original: Copy, command: Command, tmp_path: Path) -> None:
    for words, code, reason in (
        (("--anchor", str(tmp_path / "none")), 2, "There is no anchor"),
        (("--tenant", "nobody"), 1, "There is no tenant 'nobody'"),
    ):
        result = command("audit", "verify", *words)
        assert result.exit_code == code
        assert reason in " ".join(result.stderr.split())


def test_a_line_for_each_event_without_patients(original: Copy, command: Command) -> None:
    lines = command("audit", "tail", "--tenant", "acme", "--lines", "3", "--no-follow").stdout.splitlines()
    assert len(lines) == 3
    assert all(each.split()[1:6] == ["R", "read", "done", "Practitioner", "Observation,Patient"] for each in lines)
    found = command("audit", "tail", "--tenant", "acme", "-n", "1", "--no-follow", "--json").stdout
    assert json.loads(found)["kind"] == "read"
    assert "p1" not in found
    assert command("audit", "tail", "--tenant", "acme", "-n", "0", "--no-follow").stdout == ""


def test_what_is_exported_proves_itself(original: Copy, command: Command, tmp_path: Path) -> None:
    """With nothing but the file and the key that signs: each entry, each event, each head, each checkpoint."""
    path = tmp_path / "audit.ndjson"
    assert command("audit", "export", "--tenant", "acme", "--to", str(path)).exit_code == 0
    lines = path.read_bytes().splitlines()
    assert lines == command("audit", "export", "--tenant", "acme").stdout_bytes.splitlines()
    told = [json.loads(each) for each in lines]
    entries = {(each["entry"]["writer"], each["entry"]["seq"]): each["entry"] for each in told if "entry" in each}
    for line, each in zip(lines, told, strict=True):
        if "resource" in each:
            body = line.partition(b',"resource":')[2][:-1]
            assert chain.digest(body).hex() == each["entry"]["digest"]
    for (writer, seq), each in entries.items():
        if seq:
            assert each["previous"] == entries[writer, seq - 1]["hash"]
        assert again(each).expected.hex() == each["hash"]
    for each in (each["checkpoint"] for each in told if "checkpoint" in each):
        leaves = [chain.leaf(writer, seq, bytes.fromhex(head)) for writer, seq, head in each["heads"]]
        assert all(entries[writer, seq]["hash"] == head for writer, seq, head in each["heads"])
        assert chain.root(leaves).hex() == each["root"]
        words = f"checkpoint|acme|{each['number']}|{milliseconds(each['at'])}|{each['entries']}|{each['kid']}|"
        statement = words.encode() + bytes.fromhex(each["root"] + each["previous"])
        assert ecdsa.is_good(each["key"], statement, bytes.fromhex(each["signature"]))


def again(entry: dict[str, Any]) -> chain.Entry:
    names = ("tenant", "writer", "seq", "kind", "event", "version")
    digest, previous = (bytes.fromhex(entry[name]) for name in ("digest", "previous"))
    return chain.Entry(*(entry[name] for name in names), digest, milliseconds(entry["at"]), previous)


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
