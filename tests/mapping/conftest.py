import re
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any

import pytest

from fhir_server.mapping import catalogue, check
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.context import Context
from fhir_server.mapping.declaration import read
from fhir_server.mapping.identity import Identity
from fhir_server.store.connection import Store, opened

Mapped = tuple[dict[str, dict[str, Any]], list[tuple[str, str, str]]]
HEAD = """
source: pms.clients
key: $id
columns: {id: integer!, a: text, b: text, d: date, e: date, j: json, n: decimal}
drop: {%s}
outputs:
"""


@pytest.fixture(scope="session")
def pms() -> Catalogue:
    found = catalogue.load("pms")
    check.proven(found)
    return found


@pytest.fixture(scope="module")
async def store(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    async with opened(mongo_url=mongo_url, database=database_name) as found:
        yield found


@pytest.fixture
def declare(pms: Catalogue) -> Callable[[str], Compiled]:
    """A table of the columns `a b d e j n`, compiled from the text of its outputs."""

    def made(outputs: str) -> Compiled:
        unused = [name for name in "abdejn" if not re.search(rf"\${name}\b", outputs)]
        text = HEAD % ", ".join(f"{name}: not needed" for name in unused) + outputs
        return whole(text)

    def whole(text: str) -> Compiled:
        table = read(text.lstrip("\n"), "pms/clients.yaml")
        own = Catalogue(
            pms.source, pms.title, pms.base, pms.documented, {"clients": table}, pms.maps, pms.systems, pms.profiles
        )
        check.proven(own)
        return compiled(table, own)

    made.whole = whole  # type: ignore[attr-defined]
    return made


@pytest.fixture
def mapped(declare: Callable[[str], Compiled]) -> Callable[..., Mapped]:
    """What one row becomes: resources by output without id and meta, and findings as code, column, path."""

    def run(outputs: str, **row: Any) -> Mapped:
        found = declare(outputs)
        values = [row.get(name, 1 if name == "id" else None) for name in found.table.columns]
        context = Context(Identity("https://x.example", "acme"), date(2025, 6, 30))
        findings: list[Any] = []
        drafts = found.drafts(values, found.key(values), {}, context, findings)
        resources = {
            draft.output: {
                name: value for name, value in draft.resource.items() if name not in ("id", "meta", "identifier")
            }
            for draft in drafts
        }
        return resources, [(each.code, each.column, each.path) for each in findings]

    return run
