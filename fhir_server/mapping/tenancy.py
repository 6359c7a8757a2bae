"""Whose row it is: a column, the row's parent, or every tenant with a row that points to it.

Written as SQL over the declarations' rules, never as a join: a row is read once, whatever it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, FromClause, TableClause, and_, func, or_, select, table, true

from fhir_server.mapping.columns import ascending, raw
from fhir_server.mapping.model import Children, Parent, TableMapping

TENANT = "~tenant"
"""The name of the tenant among the columns of a parent row: no column of a source is called so."""


class Tenancy:
    """The rules of the tables of one source."""

    def __init__(self, tables: Mapping[str, TableMapping]):
        self.tables = tables

    def rows(self, mapping: TableMapping, tenant: str | None) -> ColumnElement[bool]:
        """The rows of a tenant and, where each row says whose it is, those that do not, which are reported."""
        if not mapping.tenant or tenant is None:
            return true()
        outer = named(mapping.table)
        wanted: Any = self._typed(mapping, tenant)
        own = self._value(mapping, outer)
        belongs = [] if own is None else [own == wanted, own.is_(None)]
        pointed_at = [self._pointing(each, outer, wanted) for each in _children(mapping)]
        return or_(*belongs, *pointed_at)

    def value(self, name: str) -> ColumnElement[Any] | None:
        """The tenant of each row of a table that is selected from; None where rows have none of their own."""
        mapping = self.tables.get(name)
        return self._value(mapping, named(name)) if mapping else None

    def _value(self, mapping: TableMapping, outer: FromClause) -> ColumnElement[Any] | None:
        found = [each for each in self._alternatives(mapping, outer) if each is not None]
        if not found:
            return None
        return found[0] if len(found) == 1 else func.coalesce(*found)

    def _alternatives(self, mapping: TableMapping, outer: FromClause) -> Iterator[ColumnElement[Any] | None]:
        for name in mapping.tenant:
            if name in mapping.parents:
                yield self._of_parent(mapping, mapping.parents[name], outer)
            elif name not in mapping.children and not is_for_all(mapping, name):
                yield raw(name, outer)

    def _of_parent(self, mapping: TableMapping, parent: Parent, outer: FromClause) -> ColumnElement[Any] | None:
        """The tenant of the row that this one points to, over as many rows as it takes."""
        above = self.tables.get(parent.table)
        inner = named(parent.table).alias()
        value = self._value(above, inner) if above else None
        if value is None:
            return None
        points = raw(parent.by, inner) == self._key(mapping, parent, outer)
        found = select(value).select_from(inner).where(points, value.is_not(None))
        ordered = found.order_by(*(ascending(raw(name, inner)) for name in (parent.by, *parent.order)))
        return ordered.limit(1).correlate(outer).scalar_subquery()

    def _key(self, mapping: TableMapping, parent: Parent, outer: FromClause) -> ColumnElement[Any]:
        """What points to the parent: a column of this row, or of another parent of it."""
        if not parent.on.field:
            return raw(parent.on.name, outer)
        between = mapping.parents[parent.on.name]
        inner = named(between.table).alias()
        points = raw(between.by, inner) == self._key(mapping, between, outer)
        found = select(raw(parent.on.field, inner)).select_from(inner).where(points)
        return found.limit(1).correlate(outer).scalar_subquery()

    def _pointing(self, children: Children, outer: FromClause, tenant: Any) -> ColumnElement[bool]:
        """Whether a row of the tenant points to this one."""
        below = self.tables.get(children.table)
        inner = named(children.table).alias()
        value = self._value(below, inner) if below else None
        if value is None:
            return true()
        points = raw(children.by, inner) == raw(children.on.name, outer)
        return select(1).select_from(inner).where(and_(points, value == tenant)).correlate(outer).exists()

    def _typed(self, mapping: TableMapping, tenant: str) -> Any:
        """The tenant as the source's columns have it: databases tell the number 7 from the text '7'."""
        return int(tenant) if self._type(mapping) == "integer" and tenant.isdecimal() else tenant

    def _type(self, mapping: TableMapping) -> str | None:
        for name in mapping.tenant:
            if name in mapping.columns and not is_for_all(mapping, name):
                return mapping.columns[name].name
            related = mapping.parents.get(name) or mapping.children.get(name)
            other = self.tables.get(related.table) if related else None
            found = self._type(other) if other else None
            if found:
                return found
        return None


def is_for_all(mapping: TableMapping, name: str) -> bool:
    """Whether a part of a tenant rule is a flag: where it is set, the row is there for everyone."""
    return name in mapping.columns and mapping.columns[name].name == "boolean"


def _children(mapping: TableMapping) -> list[Children]:
    return [mapping.children[name] for name in mapping.tenant if name in mapping.children]


@cache
def named(name: str) -> TableClause:
    """A table whose columns nobody has listed: one object, so that a subquery knows the query around it."""
    return table(name)
