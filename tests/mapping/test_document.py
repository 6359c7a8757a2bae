from decimal import Decimal

import pytest

from fhir_server.mapping import document
from fhir_server.mapping.problem import MappingError


def value_of(written: str) -> object:
    return document.plain(document.read(f"key: {written}\n", "t.yaml").entries["key"])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("~", "~"),
        ("2024-01-01", "2024-01-01"),
        ("12:30", "12:30"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("1e3", "1e3"),
        ("8480-6", "8480-6"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("1.50", Decimal("1.50")),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_scalars_are_text_unless_they_are_plain_numbers_true_false_or_null(written: str, meant: object) -> None:
    found = value_of(written)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\na: 2\n", 2, "stands twice"),
        ("a: &x 1\nb: *x\n", 1, "anchors"),
        ("b: [1]\na: !env HOME\n", 2, "Tags"),
        ("a:\n  <<: {b: 1}\n", 2, "merges"),
        ("a: [1, 2\n", 2, "not YAML"),
        ("a:\n", 1, "missing"),
        ("- a\n", 1, "mapping"),
        ("", 1, "mapping"),
        ("{a: b}: c\n", 1, "key"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(MappingError) as refused:
        document.read(text, "t.yaml")
    problem = refused.value.problems[0]
    assert (problem.file, problem.line) == ("t.yaml", line)
    assert says in problem.message


def test_every_node_keeps_its_line() -> None:
    found = document.read("a:\n  b: 1\n  c:\n    - x\n    - y\n", "t.yaml")
    inside = found.entries["a"]
    assert inside.lines == {"b": 2, "c": 3}
    assert [each.line for each in inside.entries["c"]] == [4, 5]
