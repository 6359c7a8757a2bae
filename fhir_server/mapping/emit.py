"""Writes the Python for the nodes of a template: each ends in a name that holds the value or None.

What creates an element is a value from a column. Constants, keys and times of change come with it, never alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.mapping import constants
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.elements import Place
from fhir_server.mapping.emit_columns import Columns
from fhir_server.mapping.emit_pipe import CHOOSING, Pipes
from fhir_server.mapping.emit_value import VARIES, Value
from fhir_server.mapping.grammar import Pipe
from fhir_server.mapping.kinds import ITEM, POSITION, Scope
from fhir_server.mapping.model import Constant, Each, First, Group, Items, Leaf, Literal, Node, TableMapping, leaves
from fhir_server.mapping.once import Once
from fhir_server.mapping.writer import Writer


class Nodes:
    """The nodes of one function; its columns are loaded before."""

    def __init__(self, writer: Writer, table: TableMapping, catalogue: Catalogue, once: Once | None = None):
        self.writer, self.catalogue = writer, catalogue
        self.pipes = Pipes(writer, table, catalogue, once)
        self.columns = Columns(
            writer, table, Scope(table), lambda pipe, path, _: self.pipes.emit(pipe, path, None).name, once
        )

    def node(self, node: Node, place: Place, scope: Scope) -> Value:
        """The value of an element."""
        if isinstance(node, Leaf):
            return self._traced(node, self.pipes.emit(node.pipe, place.path, place))
        if isinstance(node, Literal):
            return self._shared(node.value)
        if isinstance(node, Constant):
            return self._shared(constants.value(node.step, self.catalogue.systems)[0])
        if isinstance(node, Items):
            return self._items(node, place, scope)
        if isinstance(node, First):
            return self._first(node.options, place, scope)
        if isinstance(node, Each):
            return self._loops((node,), place, scope)
        return self._group(node, place, scope)

    def _traced(self, leaf: Leaf, value: Value) -> Value:
        """Where rows are to be explained, the value knows its leaf."""
        if self.writer.traces is None:
            return value
        name = self.writer.fresh()
        self.writer.line(f"{name} = traced({value.name}, {len(self.writer.traces)})")
        self.writer.traces.append(leaf)
        return replace(value, name=name)

    def _shared(self, value: Any) -> Value:
        return Value(self.writer.constant(value), always=True, shared=value)

    def _first(self, options: Sequence[Node], place: Place, scope: Scope) -> Value:
        """Options in order; each is tried only where those before gave nothing."""
        writer, name, creates = self.writer, self.writer.fresh(), self.writer.fresh("is_own_")
        value = self.node(options[0], place, scope)
        writer.line(f"{name}, {creates} = {value.name}, {value.creates or False}")
        if len(options) == 1 or value.always:
            return Value(name, creates, value.always, value.column)
        with writer.block(f"if {name} is None"):
            rest = self._first(options[1:], place, scope)
            writer.line(f"{name}, {creates} = {rest.name}, {rest.creates}")
        return Value(name, creates, rest.always, value.column)

    def _loops(self, loops: Sequence[Each], place: Place, scope: Scope) -> Value:
        """A list, one entry for each item of the one loop, then of the next."""
        name = self.writer.fresh()
        self.writer.line(f"{name} = []")
        columns = [self._each(name, each, place, scope) for each in loops]
        self.writer.line(f"{name} = {name} or None")
        return Value(name, f"{name} is not None", column=columns[0])

    def _each(self, name: str, node: Each, place: Place, scope: Scope) -> str:
        """One loop, which adds to the list; the column that it goes over."""
        body, inside = tuple(leaves(node.body)), scope.inside(node.items.pipe)
        items, passed_over = self._chosen(node.items.pipe, body, place)
        self.pipes.items_of = items.column
        with self.writer.block(loop(items.name, body)):
            for condition in passed_over:
                with self.writer.block(f"if {condition}"):
                    self.writer.line("continue")
            self.pipes.texts = self.columns.items([leaf.pipe for leaf in body], inside)
            self._append(name, self.node(node.body, place, inside))
        return items.column

    def _chosen(self, pipe: Pipe, body: Sequence[Leaf], place: Place) -> tuple[Value, list[str]]:
        """What a loop goes over, and the conditions under which it passes over an item.

        Rows are chosen inside the loop, where all that is asked for is which, and nobody counts them.
        """
        if all(step.name in CHOOSING for step in pipe.steps) and not counts(body):
            return self.pipes.emit(replace(pipe, steps=()), place.path, None), self.pipes.passed_over(pipe)
        return self.pipes.emit(pipe, place.path, None), []

    def _items(self, node: Items, place: Place, scope: Scope) -> Value:
        """A list of what its entries give."""
        loops = [each for each in node.items if isinstance(each, Each)]
        if len(loops) == len(node.items):
            return self._loops(loops, place, scope)
        values = [self.node(each, place, scope) for each in node.items]
        if all(value.shared is not VARIES for value in values):
            return self._shared([value.shared for value in values])
        if len(values) == 1:
            return self._only(values[0])
        if not loops and sum(not value.always for value in values) == 1:
            return self._all_but_one(values)
        name = self.writer.fresh()
        self.writer.line(f"{name} = []")
        for item, value in zip(node.items, values, strict=True):
            self._append(name, value, "extend" if isinstance(item, Each) else "append")
        always = any(value.always for value in values)
        if not always:
            self.writer.line(f"{name} = {name} or None")
        return Value(name, _any(value.creates for value in values), always, _column(values))

    def _all_but_one(self, values: Sequence[Value]) -> Value:
        """The list of entries of which one may have no value."""
        name, unsure = self.writer.fresh(), next(value.name for value in values if not value.always)
        whole, rest = (", ".join(each.name for each in found) for found in (values, [v for v in values if v.always]))
        self.writer.line(f"{name} = [{whole}] if {unsure} is not None else [{rest}]")
        return Value(name, _any(value.creates for value in values), always=True, column=_column(values))

    def _only(self, value: Value) -> Value:
        """The list of one entry."""
        name = self.writer.fresh()
        self.writer.line(f"{name} = [{value.name}]{'' if value.always else f' if {value.name} is not None else None'}")
        return replace(value, name=name)

    def _append(self, name: str, value: Value, how: str = "append") -> None:
        if value.always:
            self.writer.line(f"{name}.{how}({value.name})")
        else:
            with self.writer.block(f"if {value.name} is not None"):
                self.writer.line(f"{name}.{how}({value.name})")

    def _group(self, group: Group, place: Place, scope: Scope) -> Value:
        """An element with children, left out where no column creates it or a required child has no value."""
        conditions = self.tests(group.when, place.path)
        children = {name: self.node(child, place.child(name), scope) for name, child in group.children.items()}
        if not conditions and all(value.shared is not VARIES for value in children.values()):
            return self._shared({name: value.shared for name, value in children.items()})
        if place.type == "Period" and {"start", "end"} <= children.keys():
            children["end"] = self._period(children["start"], children["end"], place)
        creates = _any(value.creates for value in children.values())
        name = self.writer.fresh()
        self.writer.line(f"{name} = None  # {place.path}")
        with self.writer.block(f"if {' and '.join([*conditions, f'({creates})'])}"):
            known = {each: replace(value, always=True) for each, value in children.items() if value.creates == creates}
            self._build(name, {**children, **known}, place, group.needs)
        return Value(name, f"{name} is not None", column=_column(children.values()), parts=children)

    def tests(self, conditions: Iterable[Leaf], path: str) -> list[str]:
        """The conditions that pipes have values."""
        return [f"{self.pipes.emit(leaf.pipe, path, None).name} is not None" for leaf in conditions]

    def _period(self, start: Value, end: Value, place: Place) -> Value:
        """The end, unless it lies before the start.  https://hl7.org/fhir/R4/datatypes.html#Period per-1"""
        name = self.writer.fresh()
        self.writer.line(f"{name} = {end.name}")
        condition = f"{start.name} is not None and {name} is not None and inverted({start.name}, {name})"
        with self.writer.block(f"if {condition}"):
            self.writer.line(f"{name} = noted(findings, PERIOD_INVERTED, {end.column!r}, {place.path!r})")
        creates = end.creates and end.creates.replace(f"{end.name} is not None", f"{name} is not None")
        return replace(end, name=name, creates=creates)

    def _build(self, name: str, children: Mapping[str, Value], place: Place, needs: tuple[str, ...]) -> None:
        keyword = "if"
        for wanted in [*uncertain(place, children), *([needs] if needs else [])]:
            with self.writer.block(f"{keyword} {none_of(wanted, children)}"):
                present = [children[each] for each in wanted if each in children]
                column = _column(present) or _column(children.values())
                self.writer.line(f"lost(findings, {column!r}, {place.path!r}, {' or '.join(wanted)!r})")
            keyword = "elif"
        if keyword == "if":
            self.fill(name, children)
        else:
            with self.writer.block("else"):
                self.fill(name, children)

    def fill(self, name: str, children: Mapping[str, Value], head: str = "") -> None:
        """Builds the object at once, in declared order and as large as it can get; what has no value is taken out."""
        members = [f"{child!r}: {value.name}" for child, value in children.items()]
        self.writer.line(f"{name} = {{{', '.join([head, *members] if head else members)}}}")
        for child, value in children.items():
            if not value.always:
                with self.writer.block(f"if {value.name} is None"):
                    self.writer.line(f"del {name}[{child!r}]")


def loop(items: str, body: Iterable[Leaf]) -> str:
    """The head of a loop, which counts where its body says how far it is."""
    if counts(body):
        return f"for {POSITION}, {ITEM} in enumerate({items} or (), 1)"
    return f"for {ITEM} in {items} or ()"


def counts(body: Iterable[Leaf]) -> bool:
    """Whether the body of a loop says how far it is."""
    return any(column.name == POSITION for leaf in body for column in leaf.pipe.columns())


def uncertain(place: Place, children: Mapping[str, Value]) -> list[tuple[str, ...]]:
    """The required children that may turn out to have no value."""
    return [
        wanted
        for wanted in place.required_names()
        if not any(name in children and children[name].always for name in wanted)
    ]


def none_of(wanted: tuple[str, ...], children: Mapping[str, Value]) -> str:
    """The condition that a required child has no value."""
    present = [f"{children[name].name} is None" for name in wanted if name in children]
    return " and ".join(present) or "True"


def _column(values: Iterable[Value]) -> str:
    """The column to name in a finding about several."""
    return next((value.column for value in values if value.creates and value.column), "")


def _any(conditions: Iterable[str | None]) -> str | None:
    found = list(dict.fromkeys(each for each in conditions if each))
    return " or ".join(found) if found else None
