"""Resources by id, and by search: as a list, and as pages that a cursor leads through.
https://hl7.org/fhir/R4/graphql.html#searching
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from graphql import GraphQLResolveInfo

from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.fhir.outcome import bad_value, not_found, not_supported, too_costly
from fhir_server.fhir.resource import ID
from fhir_server.fhir.version import Version
from fhir_server.interactions import cursor
from fhir_server.interactions.graphql.elements import whole
from fhir_server.interactions.graphql.node import Node, texts
from fhir_server.interactions.graphql.session import Session
from fhir_server.interactions.graphql.survey import CONNECTION
from fhir_server.search import registry
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan
from fhir_server.search.query import Query
from fhir_server.store.pages import Page

COUNT, OFFSET, SORT, CURSOR, REFERENCE = "_count", "_offset", "_sort", "_cursor", "_reference"
_SHAPE: Final = frozenset({COUNT, OFFSET, CURSOR, REFERENCE})


def argument(code: str) -> str:
    return code.replace("-", "_")


@cache
def _codes(resource_type: str) -> dict[str, str]:
    return {argument(code): code for code in registry.parameters(resource_type)}


async def by_id(resource_type: str, _: Any, info: GraphQLResolveInfo, id: Any) -> Node | None:  # noqa: A002
    session: Session = info.context
    restriction(session.ctx.repo.caller, resource_type, Right.READ)
    if not ID.match(str(id)):
        raise bad_value(f"'{str(id)[:100]}' is not a logical id.")
    found = await session.load((resource_type, str(id)))
    if found is None and not session.exhausted:
        raise not_found(resource_type, str(id))
    return None if found is None else Node.of(found)


async def listed(resource_type: str, source: Node | None, info: GraphQLResolveInfo, **given: Any) -> list[Node] | None:
    """One page of matches, `_offset` of them left out."""
    session: Session = info.context
    offset = whole(OFFSET, given.get(OFFSET)) or 0
    count = whole(COUNT, given.get(COUNT))
    limits = session.ctx.limits
    wanted = offset + min(limits.default_count if count is None else count, limits.max_count)
    if wanted > limits.max_count:
        raise too_costly(
            f"'{OFFSET}' leads beyond {limits.max_count:,} matches; {resource_type}Connection has cursors."
        )
    query = _query(session, resource_type, source, given, wanted)
    page = await _page(session, query, None)
    return _nodes(session, page.versions[offset:]) if page else None


@dataclass(frozen=True, slots=True)
class Connection:
    """A page of a search, its fields as GraphQL has them."""

    query: Query
    pagesize: int
    edges: list[Edge]
    next: str | None
    offset: int | None = None

    async def count(self, session: Session) -> int | None:
        """Of all matches on all pages; looked up only where it is asked for."""
        if not session.spend("searches"):
            return None

        async def number() -> int:
            repo = session.ctx.repo
            return await repo.count(plan(await repo.resolved(self.query)))

        return await session.reading(number)


@dataclass(frozen=True, slots=True)
class Edge:
    resource: Node
    mode: str = "match"
    score: None = None


async def connected(
    resource_type: str, source: Node | None, info: GraphQLResolveInfo, **given: Any
) -> Connection | None:
    session: Session = info.context
    if given.get(OFFSET) is not None:
        raise bad_value(f"'{OFFSET}' is of {resource_type}List; here '{CURSOR}' leads on, as 'next' gave it.")
    count = whole(COUNT, given.get(COUNT))
    query = _query(session, resource_type, source, given, session.ctx.limits.default_count if count is None else count)
    asked = f"$graphql/{resource_type}{CONNECTION}?{query.self_link()}"
    token = next(iter(texts(given.get(CURSOR))), None)
    page = await _page(session, query, cursor.opened(session.ctx, asked, token))
    if page is None:
        return None
    following = cursor.sealed(session.ctx, asked, page.next) if page.next else None
    edges = [Edge(each) for each in _nodes(session, page.versions)]
    return Connection(query, query.count, edges, following, None if token else 0)


def _query(session: Session, resource_type: str, source: Node | None, given: dict[str, Any], count: int) -> Query:
    ctx = session.ctx
    asked = [*_conditions(resource_type, source, given), (COUNT, str(count))]
    return parse((resource_type,), asked, lenient=False, base=ctx.base, max_count=ctx.limits.max_count)


def _conditions(resource_type: str, source: Node | None, given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What each argument asks for; several values of one must all hold, as with a parameter that is repeated."""
    codes = _codes(resource_type)
    if REFERENCE in given and source is not None:
        if source.root is not source.value:
            raise not_supported("What refers to a contained resource is its container; nothing else can.")
        code = codes.get(str(given[REFERENCE]), str(given[REFERENCE]))
        yield code, f"{source.value['resourceType']}/{source.value.get('id', '')}"
    for name, value in given.items():
        if name not in _SHAPE:
            for text in texts(value):
                yield codes.get(name, name), text


async def _page(session: Session, query: Query, reached: Any) -> Page | None:
    if not session.spend("searches"):
        return None
    if query.count == 0:
        return Page((), None)

    async def search() -> Page:
        repo = session.ctx.repo
        return await repo.search(plan(await repo.resolved(query), reached))

    return await session.reading(search)


def _nodes(session: Session, versions: tuple[Version, ...]) -> list[Node]:
    return [Node.of(each.resource()) for each in versions] if session.spend("resources", len(versions)) else []
