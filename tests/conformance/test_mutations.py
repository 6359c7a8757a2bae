"""The tables of who sees what are worth something: take one predicate away, and their rows fail.

Each row is first asked of the server as it is, then of the mutant, in the same tenants.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from fhir_server.store.where import Where
from tests.conformance.mutants import FILTERS, MUTANTS
from tests.conformance.run import follow
from tests.conformance.site import Site
from tests.conformance.tables import FOLDER, Case, of_file

ISOLATION, PATIENTS, WITHIN, DELETED, LABELS, CONSENTS = (
    of_file(FOLDER / f"{name}.yaml")
    for name in ("isolation", "patient_scopes", "isolation_within", "deleted", "isolation_labels", "isolation_consents")
)

UNTOUCHED = {
    "I01 the neighbour's tenant in the url": "the door refuses the token before there is a filter",
    "I01 no tenant at all in the url": "the door refuses the token before there is a filter",
    "I15 an absolute reference into the neighbour's tenant": "nothing behind the base of another tenant is looked up",
    "I11 a chain to the same number in both": "in neither tenant does anything refer to the patient of that number",
    "I13 a reference to a random id": "this is what the row before it is compared with",
}
"""Rows of the isolation table that say nothing about filters."""

SOME = {
    "no tenant at the door": [
        "I01 the neighbour's tenant in the url",
        "I01 no tenant at all in the url",
    ],
    "no tenant in instance": [
        "I02 a header does not choose the tenant",
        "I04 an id of the neighbour",
        "I19 a version of the neighbour's",
        "I31 an entity tag of the neighbour's version",
        "I32 a Binary of the neighbour",
    ],
    "no tenant in instances": ["I13 a reference to an id of the neighbour"],
    "no tenant in living": [
        "I07 the same record number",
        "I08 by ids",
        "I09 a tag of the neighbour",
        "I10 how many there are",
        "I14 a conditional reference to the neighbour's",
        "I16 a conditional update of the neighbour's",
        "I17 a conditional delete of the neighbour's",
        "I33 everything of every type",
    ],
    "no tenant in keyed": ["I08 in the order of ids"],
    "no tenant in superseded": ["I19 an earlier version of the neighbour's, by one's own id"],
    "no tenant in versions": ["I18 the history of everything", "I18 the history of a type"],
    "no compartment": [
        "I34 another patient",
        "I35 another patient by id",
        "I41 a focus is no membership",
        "I56 the history of the type",
        "I58 another patient's deleted observation",
        "I60 a batch of what one may and may not",
        "I64 not",
        "I69 one of another category",
        "I71 out of the category of the scope",
        "I82 into another patient's chart",
        "I82 out of another patient's chart",
        "counted only in the compartment",
        "I49 words of another patient",
        "I50 what another patient's resource contains",
        "I57 earlier versions of what has left the chart",
        "I57 earlier versions of what has come into the chart",
        "I84 patients on one's own list",
    ],
    "no rights": [
        "I45 a chain through a type without the right",
        "I46 what refers to a type without the right",
        "I47 an include of a type without the right",
        "I49 a filter through a type without the right",
        "I75 no patient at all",
        "I77 a conditional create that would tell of another",
        "I78 search without read",
        "I79 read without search",
        "I80 create does not give update",
    ],
    "no labels and no consents": [
        "I85 a read",
        "I85 a version",
        "I85 a search",
        "I85 a count",
        "I85 what a match refers to",
        "I85 everything",
        "I86 the patient",
        "I86 a history",
        "I86 a search by somebody else",
        "I86 a chain",
        "I86 a code",
        "I86 everything of several",
    ],
    "no criteria of scopes": [
        "I67 only laboratory",
        "I68 other categories",
        "I69 one of another category",
        "I70 an include of another category",
        "I70 the last of each code without the category",
        "I70 everything without the category",
        "I71 out of the category of the scope",
    ],
    "no check of criteria": [
        "I44 a chain through another patient's result",
        "I45 a chain through a type without the right",
        "I46 nested through a type without the right",
        "I49 a filter through a type without the right",
        "I70 a condition on another category",
    ],
    "no check of the state after": ["I71 out of the category of the scope"],
    "no check of the patient": [
        "I76 a patient who was deleted",
        "I76 a patient who was merged",
        "I76 a user with a patient who was deleted",
    ],
    "no deleted flag": [
        "of a type",
        "of the whole tenant",
        "counted",
        "by id",
        "by time of change",
        "by what it is not",
        "by what it has not",
        "in order of time",
    ],
}


def mutations() -> Iterator[tuple[str, Case]]:
    rows = {case.row["title"]: case for case in (*PATIENTS, *WITHIN, *DELETED, *LABELS, *CONSENTS, *ISOLATION)}
    yield from (("no tenant anywhere", case) for case in ISOLATION if case.row["title"] not in UNTOUCHED)
    yield from ((mutant, rows[title]) for mutant, titles in SOME.items() for title in titles)


PAIRS = list(mutations())


@pytest.mark.parametrize(("mutant", "case"), PAIRS, ids=[f"{mutant}: {case.title}" for mutant, case in PAIRS])
async def test_the_row_notices(site: Site, mutant: str, case: Case) -> None:
    tenants = await site.tenants(case, "mutant")
    if case.changes_nothing:
        await follow(site, case, "http", tenants)
    with pytest.MonkeyPatch.context() as patch:
        MUTANTS[mutant](patch)
        with pytest.raises(AssertionError):
            await follow(site, case, "http", tenants)


def test_every_filter_has_its_mutant() -> None:
    fields = {each.name for each in dataclasses.fields(Where)}
    made = {name for name in vars(Where) if not name.startswith("_")} - fields - {"allowed", "permitted"}
    made -= {"searched", "kept"}  # What `living` makes, once and twice.
    made -= {"following", "record", "numbered", "past"}  # Of jobs of the operator; no request reaches them.
    assert made == set(FILTERS)
    assert MUTANTS.keys() == SOME.keys() | {"no tenant anywhere"}
