"""Every interaction and operation, with every kind of token, on every type: allowed by a list, or refused.

What is refused is 401, 403 or 404; what is answered shows nothing that the token may not see, nor do logs and metrics.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_server.access.caller import Caller
from fhir_server.fhir import definitions
from fhir_server.interactions import later
from fhir_server.interactions.context import Interaction
from fhir_server.interactions.operations import table as operations
from fhir_server.interactions.table import INTERACTIONS
from fhir_server.rest import log
from fhir_server.rest.exchange import Exchange
from fhir_server.search.index import index
from tests.conformance.mutants import MUTANTS, without_roles
from tests.conformance.site import URL, Site
from tests.security import canaries

ROWS = (*INTERACTIONS, *operations.ROWS, *later.ROWS)
ALLOWED = yaml.safe_load((Path(__file__).parent / "allowed.yaml").read_text())
GROUPS: dict[str, list[str]] = yaml.safe_load(files("fhir_server.access").joinpath("roles.yaml").read_text())["types"]
REFUSED = frozenset({401, 403, 404})
NOT_HERE = frozenset({405, 501})
"""What does not apply to a type is said to be so."""
TENANT, OTHER = "matrix", "matrix-other"
EVERY, SYSTEM, NONE, OPEN = "every", "system", "none", "open"
FORM = b"application/x-www-form-urlencoded"
HUBS = frozenset(
    {"Coverage", "DiagnosticReport", "Encounter", "Group", "List", "Observation", "Patient", "Practitioner"}
)
"""Types whose search follows every reference; for the others that would only cost time."""
FOLLOWING = "&_include=*&_revinclude=*"
QUERIES = {
    "search-type": "_total=accurate",
    "search-system": "_total=accurate&_count=1000",
    "history-system": "_count=1000",
}


@dataclass(frozen=True)
class Token:
    name: str
    may: dict[str, str]
    """Rights by type."""
    sees: frozenset[str]
    text: str | None

    def permits(self, right: str, resource_type: str | None) -> bool:
        """On any type at all where there is none in the path."""
        if right in (NONE, OPEN):
            return right == OPEN or self.name not in ("NOBODY", "ADM_B")
        rights = [self.may.get(resource_type, "")] if resource_type else list(self.may.values())
        return any(set(right) & set(each) for each in rights)

    def shows_too_much(self, text: str) -> list[str]:
        """Marks of what the token may not see."""
        return [
            f"{owner} {resource_type}"
            for owner, resource_type in set(canaries.CANARY.findall(text))
            if owner not in self.sees or not set(self.may.get(resource_type, "")) & {"r", "s"}
        ]


def types_of(name: str) -> list[str]:
    """The types behind a name of the list."""
    if name == EVERY:
        return sorted(definitions.resource_types())
    if name == "compartment":
        return sorted(canaries.IN_COMPARTMENT)
    return list(ALLOWED["groups"].get(name) or GROUPS.get(name) or [name])


def needed(row: Interaction, resource_type: str | None) -> str | None:
    """The right that a row needs on a type, as the list says it; None where the row does not apply."""
    if row.code != operations.CODE:
        return str(ALLOWED["interactions"][row.code])
    rights = ALLOWED["operations"][row.path.rpartition("/")[2]]
    if rights == NONE:
        return NONE
    return rights.get(resource_type or SYSTEM) or (rights.get(EVERY) if resource_type else None)


@dataclass(frozen=True)
class Cell:
    row: Interaction
    resource_type: str | None
    right: str | None

    @property
    def path(self) -> str:
        """Always about the other patient, or the neighbour's resource of the same id."""
        about = {"resource_type": self.resource_type, "resource_id": canaries.ANOTHER, "version_id": "1"}
        return self.row.path.format(
            **about,
            compartment_type="Patient",
            compartment_id=canaries.ANOTHER,
            job_id="01890a5d-ac96-774b-bcce-b302099a8057",
        )

    def request(self) -> tuple[str, bytes, bytes]:
        """Query, type of the body and body."""
        query = QUERIES.get(self.row.code, "") + (FOLLOWING if self._from_hub else "")
        if self.row.method == "GET":
            return ("query={PatientList{id,meta{tag{code}}}}" if "$graphql" in self.row.path else query), b"", b""
        if self.row.path.endswith("_search"):
            return "", FORM, query.encode()
        return self._query(), b"application/json" if "$graphql" in self.row.path else self._type(), self._body()

    @property
    def _from_hub(self) -> bool:
        return self.row.code == "search-type" and self.resource_type in HUBS

    def _query(self) -> str:
        by_criteria = self.row.code in ("update", "patch", "delete") and "{resource_id}" not in self.row.path
        return f"_id={canaries.ANOTHER}" if by_criteria else ""

    def _type(self) -> bytes:
        return b"application/json-patch+json" if self.row.code == "patch" else b"application/fhir+json"

    def _body(self) -> bytes:
        if self.row.method == "DELETE":
            return b""
        return json.dumps(self._content()).encode()

    def _content(self) -> Any:
        if "$graphql" in self.row.path:
            return {"query": "{id}" if self.resource_type else "{PatientList{id,meta{tag{code}}}}"}
        if self.row.code == operations.CODE:
            return {"resourceType": "Parameters"}
        if self.row.code == "patch":
            return [{"op": "add", "path": "/language", "value": "en"}]
        if self.row.code in ("batch", "transaction"):
            request = {"method": "GET", "url": f"Observation/{canaries.ANOTHER}"}
            return {"resourceType": "Bundle", "type": self.row.code, "entry": [{"request": request}]}
        return {"resourceType": self.resource_type, "id": canaries.ANOTHER}


@cache
def cells() -> tuple[Cell, ...]:
    return tuple(_cells())


def _cells() -> Iterator[Cell]:
    for row in ROWS:
        if "{resource_type}" not in row.path:
            yield Cell(row, None, needed(row, None))
            continue
        for resource_type in sorted(definitions.resource_types()):
            right = needed(row, resource_type) if row.applies_to(resource_type) else None
            # Where an operation is not for a type, one type stands for all.
            if right is not None or row.code != operations.CODE or resource_type == "Basic":
                yield Cell(row, resource_type, right)


@dataclass
class Matrix:
    site: Site
    tokens: dict[str, Token]
    log: list[str]

    async def ask(self, token: Token, cell: Cell) -> tuple[int, str]:
        """Past any client: the status, and all that comes out, headers too."""
        query, content_type, body = cell.request()
        raw = f"/fhir/{TENANT}/{cell.path}".rstrip("/").encode()
        headers = [(b"host", URL.removeprefix("http://").encode())]
        if token.text:
            headers.append((b"authorization", b"Bearer " + token.text.encode()))
        if body:
            headers += [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        scope = {
            "type": "http",
            "method": cell.row.method,
            "path": raw.decode(),
            "raw_path": raw,
            "query_string": query.encode(),
            "headers": headers,
        }
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        await self.site.app(scope, receive, send)
        status: int = said[0]["status"]
        out = b"".join([b"".join(map(b"".join, said[0]["headers"])), *(each.get("body", b"") for each in said[1:])])
        return status, out.decode("utf-8", "replace")


class Kept(logging.Handler):
    """What the process logs, and the lines of requests, which go past the machinery of logging."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__()
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(f"{record.getMessage()} {record.__dict__}")

    def requests(self, exchanges: Iterable[Exchange]) -> None:
        self._kept.extend(str(log._line(each)) for each in exchanges)


@pytest.fixture(scope="module")
async def matrix(site: Site) -> AsyncIterator[Matrix]:
    store = site.app.state.store
    for name, resources in ((TENANT, canaries.of_tenant()), (OTHER, canaries.of_neighbour())):
        await store.tenants.create(name)
        repository = store.repository(await store.tenants.get(name), Caller.system(name, "matrix"))
        await repository.put_many(resources)
    tokens = {name: await token_of(site, name, given) for name, given in ALLOWED["tokens"].items()}
    kept: list[str] = []
    handler = Kept(kept)
    root = logging.getLogger()
    root.addHandler(handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "requests", handler.requests)
        yield Matrix(site, tokens, kept)
    root.removeHandler(handler)


async def token_of(site: Site, name: str, given: dict[str, Any]) -> Token:
    may: dict[str, str] = {}
    for group, rights in given["may"].items():
        may |= dict.fromkeys(types_of(group), rights)
    person = {key: given[key] for key in ("roles", "patients") if key in given}
    text = None
    if "none" not in given:
        tenant = OTHER if given.get("tenant") == "other" else TENANT
        text = await site.token(tenant, given["scope"], patient=given.get("patient"), person=person)
    return Token(name, may, frozenset(given["sees"]), text)


def faults(token: Token, cell: Cell, status: int, out: str) -> Iterator[str]:
    about = f"{token.name} {cell.row.method} {cell.path}: {status}"
    refused = REFUSED | (frozenset() if cell.right else NOT_HERE)
    if (cell.right is None or not token.permits(cell.right, cell.resource_type)) and status not in refused:
        yield f"{about} is allowed by no list"
    if status >= 500 and status not in NOT_HERE:
        yield f"{about} is a failure: {out[-300:]}"
    if shown := token.shows_too_much(out):
        yield f"{about} shows {shown}"


@pytest.mark.parametrize("name", ALLOWED["tokens"])
async def test_what_no_list_allows_is_refused(matrix: Matrix, name: str, counted: Callable[[str, int], None]) -> None:
    token = matrix.tokens[name]
    methods = ALLOWED["tokens"][name].get("asks") or {cell.row.method for cell in cells()}
    asked = [cell for cell in cells() if cell.row.method in methods]
    found = [fault for cell in asked for fault in faults(token, cell, *await matrix.ask(token, cell))]
    assert not found, f"{len(found)} of {len(asked)}:\n" + "\n".join(found[:40])
    counted("requests of the matrix of rights, without a leak", len(asked))


async def test_logs_and_metrics_tell_nothing(matrix: Matrix) -> None:
    for cell in cells():
        if cell.resource_type == "Patient":
            await matrix.ask(matrix.tokens["SRC"], cell)
    matrix.site.app.state.records.flush()
    metrics = (await matrix.site.client.get("/metrics")).text
    assert 'interaction="search-type"' in metrics
    assert any("'interaction': 'search-type'" in line for line in matrix.log)
    for secret in ("CANARY", canaries.OWN, canaries.ANOTHER):
        assert secret not in metrics
        assert not any(secret in line for line in matrix.log)


async def test_what_nobody_may_write_is_as_it_was(matrix: Matrix) -> None:
    """The neighbour's resources, and those of the other patient that only clerks of money may change."""
    store = matrix.site.app.state.store
    kept = {
        OTHER: types_of(EVERY),
        TENANT: sorted(canaries.IN_COMPARTMENT - set(types_of("money")) - {"Communication"}),
    }
    for name, types in kept.items():
        repository = store.repository(await store.tenants.get(name), Caller.system(name, "matrix"))
        versions = await repository.several([(each, canaries.ANOTHER) for each in types])
        assert [each.version_id for each in versions.values()] == [1] * len(types)


def test_canaries_are_where_they_should_be() -> None:
    for resource in canaries.of_tenant():
        owner = canaries.CANARY.search(str(resource))[1]  # type: ignore[index]
        patient = {canaries.VITAL: canaries.OWN, canaries.ABOUT_NOBODY: None}.get(owner, owner)
        inside = {f"Patient/{patient}"} if patient and resource["resourceType"] != "Device" else set()
        assert set(index(resource).compartments) == inside, resource


def test_every_row_is_decided_and_nothing_else_is_listed() -> None:
    codes = {row.path.rpartition("/")[2] for row in operations.ROWS}
    assert codes == ALLOWED["operations"].keys()
    assert {row.code for row in ROWS if row.code != operations.CODE} == ALLOWED["interactions"].keys()
    assert all(Path(__file__).parent.joinpath("allowed.yaml").read_text().count(f"  {code}:") == 1 for code in codes)


MUTATIONS = {
    "no tenant anywhere": (MUTANTS["no tenant anywhere"], "SYS", "Observation"),
    "no compartment": (MUTANTS["no compartment"], "P1", "Observation"),
    "no rights": (MUTANTS["no rights"], "POBS", "Condition"),
    "no criteria of scopes": (MUTANTS["no criteria of scopes"], "PLAB", "Observation"),
    "no role": (without_roles, "BILL", "Observation"),
    "no role of one's own": (without_roles, "OWN", "Observation"),
    "no door": (MUTANTS["no tenant at the door"], "ADM_B", "Observation"),
}


@pytest.mark.parametrize("name", MUTATIONS)
async def test_the_matrix_notices(matrix: Matrix, name: str) -> None:
    mutate, whose, resource_type = MUTATIONS[name]
    token = matrix.tokens[whose]
    asked = [
        cell for cell in cells() if cell.resource_type == resource_type and cell.row.code in ("read", "search-type")
    ]
    assert not [fault for cell in asked for fault in faults(token, cell, *await matrix.ask(token, cell))]
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        assert [fault for cell in asked for fault in faults(token, cell, *await matrix.ask(token, cell))]
