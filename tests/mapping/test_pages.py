"""The pages show what the commands print; what they show holds, and its opposite is told."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner, Result

from fhir_server.cli.program import app
from tests.mapping import pages

VOID = frozenset({"meta", "br"})


@dataclass
class Shown:
    """A page after its commands were done, and the sample that they left."""

    before: str
    after: str
    url: str
    folder: Path

    def command(self, *args: str) -> Result:
        return CliRunner().invoke(app, ["migrate", *args, "--tenant", "tour", "--json"], catch_exceptions=False)

    def answer(self, *args: str) -> Any:
        return json.loads(self.command(*args).stdout)

    def sql(self, statement: str) -> None:
        with create_engine(self.url).begin() as connection:
            connection.execute(text(statement))


@pytest.fixture(scope="module")
def page(mongo_url: str, database_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("page")
    url, before = f"sqlite:///{folder / 'practice.db'}", (pages.DOCS / "reconciling.md").read_text("utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FHIR_MONGO_URL", mongo_url)
        patch.setenv("FHIR_DATABASE", database_name)
        patch.setenv("FHIR_LEGACY_KEYS", pages.KEYS)
        yield Shown(before, pages.rewritten(before, url, folder), url, folder)


def test_the_page_shows_what_the_commands_print(page: Shown) -> None:
    assert page.after == page.before, "python -m tests.mapping.pages writes it anew"


def test_the_next_look_of_sync_does_not_read_again_what_the_run_has_read(page: Shown) -> None:
    read = {each["table"]: each["rows"] for each in page.answer("sync", "--once", "--from", page.url)["tables"]}
    assert read["clients"] == read["appointments"] == read["ledger"] == read["notes"] == 0


def test_a_rehearsal_keeps_nothing(page: Shown) -> None:
    drift = page.answer("drift", "--from", page.url)
    page.command("run", "--from", page.url, "--dry-run")
    assert page.answer("drift", "--from", page.url) == drift


class Outline(HTMLParser):
    """What stands in a page: its elements, closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


def test_the_report_is_one_page_that_needs_nothing_else(page: Shown) -> None:
    html, outline = (page.folder / "report.html").read_text("utf-8"), Outline()
    outline.feed(html)
    assert outline.open == []
    assert not outline.all("script")
    assert not outline.all("link")
    assert not re.search(r"(?:src|href)=|url\(|@import", html)
    assert len(outline.all("caption")) == len(outline.all("table")) > 3
    assert all(each.get("scope") in ("col", "row") for each in outline.all("th"))
    assert outline.all("html") == [{"lang": "en"}]
    assert "prefers-color-scheme: dark" in html
    assert "width=device-width" in html
    regions = {each["aria-labelledby"] for each in outline.all("div")}
    assert regions <= {each.get("id") for each in outline.all("h2")}


def test_what_does_not_add_up_is_said_and_is_the_exit_code(page: Shown, tmp_path: Path) -> None:
    target = tmp_path / "wrong.html"
    assert page.answer("report", "--from", page.url)["holds"]
    page.sql("UPDATE ledger SET amount = amount + 1 WHERE id = 1")
    page.sql("INSERT INTO practice_profiles (id, tenant_id) VALUES (99, 'practice')")
    told = page.command("report", "--from", page.url, "--html", str(target))
    page.sql("UPDATE ledger SET amount = amount - 1 WHERE id = 1")
    page.sql("DELETE FROM practice_profiles WHERE id = 99")
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert [each["what"] for each in found["checks"] if not each["holds"]] == [
        "practice_profiles: rows in the source, and rows that are known",
        "ledger: amounts of ChargeItem with rounding, and those of the source",
    ]
    (charges,) = [each for each in found["money"] if each["output"] == "ChargeItem"]
    assert [each["unexplained"] for each in charges["differing"].values()] == ["1.00"]
    assert "2 of 45 sums do not add up" in target.read_text("utf-8")


def test_values_that_no_map_knows_are_shown_when_asked_for(page: Shown) -> None:
    (kind, _) = page.answer("report", "--from", page.url)["unmapped"]
    assert kind == {"table": "appointments", "where": "appointment_type", "rows": 5}
    (kind, _) = page.answer("report", "--from", page.url, "--show-values")["unmapped"]
    assert kind["values"] == {"group": 5}


@pytest.fixture
def explained(page: Shown) -> Callable[..., list[dict[str, Any]]]:
    def run(*args: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = page.answer("explain", *args, "--from", page.url)
        return found

    return run


def test_a_resource_of_several_rows_is_explained_from_either_end(explained: Callable[..., Any]) -> None:
    *_, claim = explained("ledger", "2")
    assert claim["resource"].startswith("Claim/")
    assert claim["rows"] == ["1", "2"]
    assert {"item.amount"} in [set(each["columns"]) for each in claim["elements"]]
    assert explained("--resource", claim["resource"]) == [claim]


def test_what_belongs_to_a_value_is_explained_from_its_first_row(explained: Callable[..., Any]) -> None:
    (coverage,) = [each for each in explained("clients", "1") if each["output"] == "Coverage#primary"]
    (payor,) = [each for each in explained("clients", "1", "--show-values") if each["output"] == "Organization#payer"]
    (again,) = explained("--resource", payor["resource"], "--show-values")
    assert again == payor
    assert coverage["resource"] != payor["resource"]


def test_a_tenant_without_a_run_has_nothing_to_compare_with(page: Shown) -> None:
    told = page.command("drift", "--source", "mk", "--from", page.url)
    assert told.exit_code == 2
