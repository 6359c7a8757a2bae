import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.mapping.grammar import Column, Step, Unreadable, constant, pipe

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name.isascii())
WORDS = st.from_regex(r"[A-Za-z0-9#./-]{1,8}", fullmatch=True).filter(lambda word: word.isascii())
COLUMNS = st.builds(Column, NAMES, st.none() | NAMES)
STEPS = st.builds(Step, NAMES, st.lists(WORDS | COLUMNS, max_size=3).map(tuple))


@given(COLUMNS, st.lists(STEPS, max_size=4))
def test_a_pipe_reads_what_it_prints(column: Column, steps: list[Step]) -> None:
    printed = " | ".join([str(column), *map(str, steps)])
    found = pipe(printed)
    assert (found.column, found.steps) == (column, tuple(steps))
    assert str(found) == printed


def test_arguments_may_hold_bars_and_quoted_text() -> None:
    found = pipe("$a | cc(orgtype|pay|Payer) | phrase('it''s {}, (really)') | given($b.c, x)")
    assert [step.args for step in found.steps] == [
        ("orgtype|pay|Payer",),
        ("it's {}, (really)",),
        (Column("b", "c"), "x"),
    ]


def test_a_constant_keeps_its_arguments() -> None:
    assert constant("=cc(v2-0131|C|Emergency Contact, LOINC|1-8)") == Step(
        "cc", ("v2-0131|C|Emergency Contact", "LOINC|1-8")
    )


@pytest.mark.parametrize(
    "written",
    [
        "$",
        "$1a",
        "$a |",
        "$a | | b",
        "$a | b(",
        "$a | b()",
        "$a | b(,x)",
        "$a | b(x,)",
        "$a b",
        "$a.b.c",
        "$a | 9",
        "$a | b)",
    ],
)
def test_what_is_no_pipe_is_refused(written: str) -> None:
    with pytest.raises(Unreadable):
        pipe(written)
