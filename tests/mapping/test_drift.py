"""Each kind of difference between a source as a run has seen it and as it is now, and whether it matters."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from fhir_server.mapping import schema
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.drift import Comparison
from fhir_server.mapping.source import Source
from seed import pms as sample

KEY = b"k" * 32
Differences = list[tuple[str, str, str, bool]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drift") / "pms.db"
    sample.write(f"sqlite:///{path}", rows=12, tenant="practice", seed=1)
    return path


@pytest.fixture
def after(original: Path, tmp_path: Path, pms: Catalogue) -> Callable[..., Differences]:
    """The differences after some statements."""
    path = tmp_path / "pms.db"
    path.write_bytes(original.read_bytes())
    url, found = f"sqlite:///{path}", pms
    before = Source(url)
    before.expect(found.tables)
    kept = {
        "schema": schema.described(before, found.in_order(), "practice", KEY),
        "names": sorted(before.tables),
        "whose": "practice",
    }
    before.close()

    def run(*statements: str) -> Differences:
        with create_engine(url).begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        now = Source(url)
        now.expect(found.tables)
        comparison = Comparison(now, found, kept, KEY)
        told = comparison.structure() or comparison.values()
        now.close()
        return [(each.table, each.column, each.kind, each.matters) for each in told]

    return run


def test_nothing_has_changed(after: Callable[..., Differences]) -> None:
    assert after() == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE clients ADD COLUMN shoe_size INTEGER", ("clients", "shoe_size", "column new", False)),
        ("ALTER TABLE clients DROP COLUMN pronouns", ("clients", "pronouns", "column gone", True)),
        ("ALTER TABLE clients DROP COLUMN referring_provider", ("clients", "referring_provider", "column gone", False)),
        ("ALTER TABLE clients RENAME COLUMN city TO city_name", ("clients", "city", "column renamed", True)),
        ("CREATE TABLE waiting_list (id INTEGER)", ("waiting_list", "", "table new", False)),
        ("DROP TABLE audit_log", ("audit_log", "", "table gone", True)),
        ("UPDATE clients SET gender = 'two-spirit' WHERE id = 2", ("clients", "gender", "value new", True)),
        ("UPDATE clients SET gender = 'intersex' WHERE id = 2", ("clients", "gender", "value new", False)),
        ("UPDATE notes SET note_type = 'sermon' WHERE id = 1", ("notes", "note_type", "value new", False)),
    ],
)
def test_a_difference_is_told_once(
    after: Callable[..., Differences], statement: str, expected: tuple[str, str, str, bool]
) -> None:
    assert after(statement) == [expected]


def test_another_type_matters_where_the_declaration_does_not_fit_it(after: Callable[..., Differences]) -> None:
    remade = (
        "CREATE TABLE remade AS SELECT * FROM alembic_version",
        "DROP TABLE alembic_version",
        "CREATE TABLE alembic_version (version_num BLOB)",
    )
    assert after(*remade, "DROP TABLE remade") == [
        ("alembic_version", "version_num", "type changed", True),
        ("alembic_version", "version_num", "may be null", True),
    ]


def test_what_rows_say_is_kept_as_hashes_alone(original: Path, pms: Catalogue) -> None:
    source = Source(f"sqlite:///{original}")
    source.expect(pms.tables)
    words = schema.described(source, [pms.tables["clients"]], "practice", KEY)["clients"]["words"]
    assert len(words["gender"]) > 2
    assert all(len(each) == 16 and int(each, 16) for each in words["gender"])
    source.close()
