"""What was acknowledged survives a kill; what was not is whole or absent.  https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.durability.server import DYING, Server

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("FHIR_TEST_KILLS", "10"))
ENTRIES = 5_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("durability") / "data")
    running.start()
    yield running
    running.stop()
    assert not running.mongods(), "a mongod was left behind"


def record(batch: str, number: int) -> dict[str, Any]:
    return {
        "resourceType": "Basic",
        "identifier": [{"system": "urn:batch", "value": batch}, {"system": "urn:number", "value": f"{batch}-{number}"}],
        "code": {"text": f"record {number}"},
    }


def transaction(batch: str, entries: int = ENTRIES) -> dict[str, Any]:
    requests = [
        {"resource": record(batch, number), "request": {"method": "POST", "url": "Basic"}} for number in range(entries)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": requests}


def test_a_large_transaction_commits_whole(server: Server) -> None:
    status, bundle = server.ask("POST", "", transaction("whole"))
    assert status == 200, bundle
    assert len(bundle["entry"]) == ENTRIES
    assert server.count("identifier=urn:batch|whole") == ENTRIES


def test_one_bad_entry_leaves_nothing(server: Server) -> None:
    bundle = transaction("bad")
    bundle["entry"][-1]["resource"]["status"] = "no such element"
    status, outcome = server.ask("POST", "", bundle)
    assert status == 400
    assert outcome["issue"][0]["expression"] == [f"Bundle.entry[{ENTRIES - 1}].resource.status"]
    assert server.count("identifier=urn:batch|bad") == 0


def test_a_killed_database_leaves_no_part_of_a_transaction(server: Server, counted: Callable[[str, int], None]) -> None:
    """The moment of the kill is drawn over the time that one transaction takes, a little before and after included."""
    started = time.monotonic()
    assert server.ask("POST", "", transaction("timed"))[0] == 200
    usual = time.monotonic() - started
    chance = random.Random(20)
    whole = 0
    for round_ in range(KILLS):
        batch = f"kill-{round_}"
        answer: list[int] = []
        sender = threading.Thread(target=lambda: answer.append(server.ask("POST", "", transaction(batch))[0]))  # noqa: B023
        sender.start()
        time.sleep(chance.uniform(0, usual * 1.1))
        server.kill_mongod()
        sender.join()
        server.await_ready()
        stored = server.count(f"identifier=urn:batch|{batch}")
        assert stored in ({ENTRIES} if answer[0] == 200 else {0, ENTRIES}), (batch, answer, stored)
        assert answer[0] in (0, 200, 503), answer
        whole += stored == ENTRIES
    counted(f"kills of mongod during a transaction of {ENTRIES:,} entries", KILLS)
    counted("of these transactions stored whole", whole)
    counted("of these transactions stored in part", 0)


@pytest.mark.parametrize("victim", ["mongod", "server"])
def test_no_acknowledged_write_is_lost(server: Server, victim: str, counted: Callable[[str, int], None]) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            status, found = server.ask("POST", "Basic", record(f"{victim}-{writer}", number), seconds=20)
            if status == 201:
                acknowledged.append(found["id"])
            else:
                time.sleep(0.05)

    writers = [threading.Thread(target=write, args=(each,)) for each in range(8)]
    for each in writers:
        each.start()
    for _ in range(3):
        time.sleep(2)
        if victim == "mongod":
            server.kill_mongod()
        else:
            server.kill()
            server.start()
    time.sleep(2)
    stop.set()
    for each in writers:
        each.join()
    server.await_ready()
    lost = [each for each in acknowledged if server.ask("GET", f"Basic/{each}")[0] != 200]
    counted(f"writes acknowledged around 3 kills of the {victim}", len(acknowledged))
    counted(f"of these lost around 3 kills of the {victim}", len(lost))
    assert len(acknowledged) > 100
    assert not lost


def test_a_server_killed_between_commit_and_answer_gives_it_when_it_is_asked_again(server: Server) -> None:
    server.stop()
    server.start(DYING)
    assert server.process is not None
    assert server.ask("POST", "Basic", record("unanswered", 1), key="unanswered")[0] == 0
    assert server.process.wait(10) == -9
    server.start()
    first, second = (server.ask("POST", "Basic", record("unanswered", 1), key="unanswered") for _ in range(2))
    assert first == second
    assert first[0] == 201
    assert server.count("identifier=urn:batch|unanswered") == 1


def test_the_record_of_a_killed_server_is_no_obstacle(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    server.start()
    server.kill()
    server.start()
    server.stop()
    assert not server.mongods()
