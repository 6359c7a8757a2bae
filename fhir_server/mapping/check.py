"""Proves a declaration against R4 and the rest of the catalogue before a row is read.

Columns, converters, paths, shapes, required elements, bindings, reference targets, profiles, names of outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from fhir_server.fhir.definitions import resource_types
from fhir_server.mapping import check_values, check_writeback
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.elements import Place, UnknownElement, change_places, root
from fhir_server.mapping.fault import CODES
from fhir_server.mapping.features import features, is_feature
from fhir_server.mapping.grammar import Column
from fhir_server.mapping.kinds import Misfit, Scope, column_kind, pipe_kind
from fhir_server.mapping.model import (
    Children,
    Constant,
    Each,
    First,
    Group,
    Items,
    Leaf,
    Literal,
    Node,
    Output,
    Parent,
    TableMapping,
    table_leaves,
)
from fhir_server.mapping.problem import MappingError, Problem, suggestion

TESTABLE = frozenset({"boolean", "json"})
"""Columns whose mere presence says nothing: a test on them says what it wants."""


def problems(catalogue: Catalogue) -> list[Problem]:
    """Everything wrong with the declarations of a source, in file order."""
    found: list[Problem] = []
    for table in catalogue.tables.values():
        found.extend(_Check(table, catalogue).run())
    if not any(each.severity == "error" for each in found):
        found.extend(check_writeback.problems(catalogue))
    return sorted(set(found))


def proven(catalogue: Catalogue) -> list[Problem]:
    """The warnings, where there are no errors; else MappingError."""
    found = problems(catalogue)
    errors = [each for each in found if each.severity == "error"]
    if errors:
        raise MappingError(errors)
    return found


class _Check:
    """One table; each method yields nothing and writes down what it finds."""

    def __init__(self, table: TableMapping, catalogue: Catalogue):
        self.table, self.catalogue = table, catalogue
        self.found: list[Problem] = []
        self.values = table.values

    def run(self) -> list[Problem]:
        self._columns()
        self._related()
        self._names()
        for accept in self.table.accept:
            if accept.code not in CODES:
                self._say(accept.test.line, f"'{accept.code}' is no code.{suggestion(accept.code, CODES)}")
            self._test(accept.test, Scope(self.table))
        for single in (self.table.deleted, self.table.lock and self.table.lock.when):
            if single:
                self._test(single, Scope(self.table))
        for name, node in self.table.change.items():
            self._node(node, change_places()[name], Scope(self.table), self.table.lines["change"])
        for output in self.table.outputs:
            self._output(output)
        return self.found

    def _say(self, line: int, message: str, severity: str = "error") -> None:
        self.found.append(Problem(self.table.file, line, message, severity))

    def _columns(self) -> None:
        """Each column is used or dropped with a reason; what steers exists."""
        table = self.table
        used = {column.name for leaf in table_leaves(table) for column in leaf.pipe.columns()}
        used |= {column.field for leaf in table_leaves(table) for column in self._row_fields(leaf) if column.field}
        used |= {*table.key, *table.watermark, *table.tenant}
        used |= {each.on.name for each in table.related}
        used |= {each.by for each in table.merges.values()} | {
            name for each in table.merges.values() for name in each.order
        }
        used |= {each.name for each in (table.lock.reason, table.lock.hash) if each} if table.lock else set()
        for name in (
            *table.key,
            *table.watermark,
            *(name for name in table.tenant if name not in (*table.parents, *table.children)),
            *table.drop,
            *table.values,
        ):
            if name not in table.columns:
                line = table.lines.get(f"drop.{name}", table.lines.get("key", 1))
                self._say(line, f"{table.name} has no column '{name}'.{suggestion(name, table.columns)}")
        for name, column in table.columns.items():
            if name in used and name in table.drop:
                self._say(table.lines[f"drop.{name}"], f"The column '{name}' is dropped and used as well.")
            if name not in used and name not in table.drop:
                self._say(column.line, f"The column '{name}' is neither used nor dropped with a reason.")

    def _row_fields(self, leaf: Leaf) -> Iterator[Column]:
        """`$item.x` and `having(x, …)` over merged rows use the columns of this table."""
        for column in leaf.pipe.columns():
            if column.name == "item":
                yield column
        for step in leaf.pipe.steps:
            if step.name in ("having", "apart_from", "gather", "total", "latest") and step.args:
                yield Column("item", str(step.args[0]))

    def _related(self) -> None:
        table = self.table
        for related in table.related:
            if related.table not in self.catalogue.documented:
                known = self.catalogue.documented
                self._say(related.line, f"The source has no table '{related.table}'.{suggestion(related.table, known)}")
            self._points(related)
        for merge in table.merges.values():
            for name in (merge.by, *merge.order):
                if name not in table.columns:
                    self._say(merge.line, f"{table.name} has no column '{name}'.{suggestion(name, table.columns)}")

    def _points(self, related: Parent | Children) -> None:
        """The column that a related row is found by: of this row, or of a parent that is declared before."""
        name, field = related.on.name, related.on.field
        if field:
            above = takewhile(lambda each: each is not related, self._above(related))
            before = {each.name: each.columns for each in above}
            if name not in before:
                self._say(related.line, f"'{related.on}': there is no parent '{name}' above.{suggestion(name, before)}")
            elif field not in before[name]:
                known = before[name]
                self._say(related.line, f"The parent '{name}' has no column '{field}'.{suggestion(field, known)}")
        elif name not in self.table.columns:
            self._say(related.line, f"{self.table.name} has no column '{related.on}'.")

    def _above(self, related: Parent | Children) -> tuple[Parent | Children, ...]:
        """What a relation may start from: a parent from parents, a list from parents and from lists."""
        return self.table.related if isinstance(related, Children) else tuple(self.table.parents.values())

    def _names(self) -> None:
        """Labels are part of ids: two outputs of one type differ in theirs, unless both belong to a value."""
        seen: dict[str, Output] = {}
        for output in self.table.outputs:
            other = seen.setdefault(output.name, output)
            if other is not output and not (output.key and other.key):
                self._say(output.line, f"The output '{output.name}' stands twice, first in line {other.line}.")

    def _output(self, output: Output) -> None:
        if not self._is_type(output):
            return
        if output.merge and output.merge not in self.table.merges:
            self._say(output.line, f"There is no merge '{output.merge}'.{suggestion(output.merge, self.table.merges)}")
        scope = Scope(self.table)
        for leaf in output.when:
            self._test(leaf, scope)
        self.values = check_values.narrowed(self.table.values, output.when)
        if output.key:
            self._pipe(output.key, scope)
        try:
            inside = scope.inside(output.each.pipe) if output.each else scope
        except Misfit as fault:
            self._say(output.each.line if output.each else output.line, str(fault))
            return
        place = root(output.resource_type)
        for name, node in output.meta.items():
            self._child(place.child("meta"), name, node, output.line, inside)
        self._group(output.body, place, inside)
        self.found.extend(check_values.profiles(output, self.table, self.catalogue))

    def _is_type(self, output: Output) -> bool:
        name, is_record = output.resource_type, is_feature(output.resource_type)
        known = features() if is_record else resource_types()
        if name not in known:
            what = "There is no feature with records" if is_record else "R4 has no resource type"
            self._say(output.line, f"{what} '{name}'.{suggestion(name, known)}")
        if is_record and (output.profiles or output.meta):
            self._say(output.line, f"'{name}' is a record of a feature; only resources have meta.")
        return name in known

    def _test(self, leaf: Leaf, scope: Scope) -> None:
        kind = self._pipe(leaf, scope)
        if kind in TESTABLE:
            self._say(
                leaf.line, f"'{leaf.pipe}' tests a {kind} column; say what it must be: is_true, is_false, one_of(…)."
            )

    def _pipe(self, leaf: Leaf, scope: Scope) -> str | None:
        """The kind of a pipe, None where it has none."""
        try:
            for column in leaf.pipe.columns():
                column_kind(column, scope)
            kind = pipe_kind(leaf.pipe, scope)
            check_values.arguments(leaf, self.table, self.catalogue, scope)
        except Misfit as fault:
            self._say(leaf.line, str(fault))
            return None
        return kind

    def _group(self, group: Group, place: Place, scope: Scope) -> None:
        for leaf in group.when:
            self._test(leaf, scope)
        for name, node in group.children.items():
            self._child(place, name, node, group.lines.get(name, group.line), scope)
        self._required(group, place)
        self._choices(group, place)

    def _child(self, place: Place, name: str, node: Node, line: int, scope: Scope) -> None:
        try:
            child = place.child(name)
        except UnknownElement as fault:
            self._say(line, f"{fault}{suggestion(name, place.names())}")
            return
        self._node(node, child, scope, line)

    def _node(self, node: Node, place: Place, scope: Scope, line: int) -> None:
        if isinstance(node, Items) != place.many:
            shape = "repeats: write a list" if place.many else "does not repeat: write one value, not a list"
            self._say(line, f"{place.path} {shape}.")
        for item in node.items if isinstance(node, Items) else (node,):
            self._single(item, place, scope)

    def _single(self, node: Node, place: Place, scope: Scope) -> None:
        """One value of the element, whether it repeats or not."""
        if isinstance(node, Leaf):
            kind = self._pipe(node, scope)
            if kind:
                self.found.extend(check_values.leaf(node, kind, place, self.values, self.table, self.catalogue))
        elif isinstance(node, First):
            for option in node.options:
                self._single(option, place, scope)
        elif isinstance(node, Each):
            self._each(node, place, scope)
        elif isinstance(node, Group):
            if place.primitive:
                self._say(node.line, f"{place.path} is a {place.type} and has no elements.")
            else:
                self._group(node, place, scope)
        elif isinstance(node, Literal | Constant):
            self.found.extend(check_values.constant(node, place, self.table, self.catalogue))
        else:
            self._say(node.line, f"{place.path}: a list inside a list.")

    def _each(self, node: Each, place: Place, scope: Scope) -> None:
        if not place.many:
            self._say(node.line, f"{place.path} does not repeat: $each has no place here.")
        if self._pipe(node.items, scope) is None:
            return
        try:
            self._single(node.body, place, scope.inside(node.items.pipe))
        except Misfit as fault:
            self._say(node.line, str(fault))

    def _required(self, group: Group, place: Place) -> None:
        """What R4 requires below an element that the template opens."""
        for names in place.required_names():
            if not any(name in group.children for name in names):
                wanted = names[0] if len(names) == 1 else f"one of {', '.join(names[:4])}"
                self._say(group.line, f"{place.path} requires {wanted}.")

    def _choices(self, group: Group, place: Place) -> None:
        """Of `value[x]` one may be set: two in a template exclude each other by `given` or `unless`."""
        seen: dict[str, str] = {}
        for name, node in group.children.items():
            choice = _choice(place, name)
            if choice is None:
                continue
            other = seen.setdefault(choice, name)
            if other != name and not (_guarded(node) or _guarded(group.children[other])):
                self._say(
                    group.lines.get(name, group.line),
                    f"{place.path} may have {other} or {name}; guard one with unless.",
                )


def _choice(place: Place, name: str) -> str | None:
    try:
        return place.child(name).choice
    except UnknownElement:
        return None


def _guarded(node: Node) -> bool:
    return isinstance(node, Leaf) and any(step.name in ("given", "unless") for step in node.pipe.steps)
