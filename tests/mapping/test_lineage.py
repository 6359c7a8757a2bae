"""An explained row is the mapped row, and every value that a column gives names it."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from fhir_server.mapping import catalogue, migration
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.compile import compiled
from fhir_server.mapping.context import Context
from fhir_server.mapping.identity import Identity
from fhir_server.mapping.lineage import declared, explained
from fhir_server.mapping.source import Source, Span
from seed.systems import SYSTEMS

CONTEXT = Context(Identity("https://x.example", "acme"), date(2031, 6, 30))


@pytest.fixture(scope="module", params=sorted(SYSTEMS))
def sample(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Catalogue, Source]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('lineage') / 'sample.db'}"
    SYSTEMS[request.param].write(url, rows=8, tenant="acme", seed=4, progress=lambda _, __: None)
    found, source = migration.declared(request.param), Source(url)
    source.expect(found.tables)
    yield found, source
    source.close()


def test_explained_is_what_is_mapped(sample: tuple[Catalogue, Source]) -> None:
    found, source = sample
    for table in found.in_order():
        rows = source.page(table, None, Span(), 8)
        functions = compiled(table, found)
        for row, related in zip(rows, source.related(table, rows), strict=True):
            drafts = functions.drafts(row, functions.key(row), related, CONTEXT, [])
            told = explained(table, found, row, related, CONTEXT)
            assert [each.output for each in told] == [each.output for each in drafts]
            for draft, each in zip(drafts, told, strict=True):
                paths = [element.path for element in each.elements]
                assert set(paths) <= set(_paths(draft.resource, draft.resource["resourceType"]))
                assert len(set(paths)) == len(paths)


def _paths(value: Any, path: str) -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _paths(child, f"{path}.{name}")
    elif isinstance(value, list):
        for at, child in enumerate(value):
            yield from _paths(child, f"{path}[{at}]")


def test_each_element_names_its_columns_and_converters() -> None:
    pms = catalogue.load("pms")
    table = pms.tables["clients"]
    row: list[Any] = [None] * len(table.columns)
    at = list(table.columns).index
    for name, value in (
        ("id", 7),
        ("tenant_id", "acme"),
        ("last_name", "Ames"),
        ("gender", "F"),
        ("phone_home", "555"),
    ):
        row[at(name)] = value
    related: dict[str, Any] = {each.name: None for each in table.read_with}
    patient = explained(table, pms, tuple(row), related, CONTEXT)[0]
    elements = {each.path: each for each in patient.elements}
    assert elements["Patient.name[0].family"].columns == ("last_name",)
    assert elements["Patient.name[0].family"].value == "Ames"
    assert elements["Patient.name[0].use"].columns == ()
    assert elements["Patient.gender"].converters == ("map(gender)",)
    assert elements["Patient.telecom[0]"].columns[0] == "phone_home"


def test_a_declaration_says_what_may_give_each_element(pms: Catalogue) -> None:
    claim = next(each for each in pms.tables["ledger"].outputs if each.resource_type == "Claim")
    found = [(each.path, each.columns) for each in declared(claim)]
    assert ("Claim.created", ("claim_submitted_at",)) in found
    assert ("Claim.created", ("transaction_date",)) in found
    assert ("Claim.item[0].net", ("claim[].amount",)) in found
    assert ("Claim.use", ()) in found
