"""What several outputs of a row need is worked out once: where the first of them asks for it.

A value that not every row comes to need starts as UNREAD, so that a fault is noted only where something asked for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager

from fhir_server.mapping.emit_columns import variable
from fhir_server.mapping.emit_value import Value
from fhir_server.mapping.grammar import Column, Pipe
from fhir_server.mapping.kinds import ITEM
from fhir_server.mapping.model import Leaf, Node, Output, TableMapping, leaves, output_leaves
from fhir_server.mapping.writer import Writer

UNREAD = object()


class Once:
    """The values of one function that several of its outputs share."""

    def __init__(self, writer: Writer, table: TableMapping, outputs: tuple[Output, ...]):
        self.writer = writer
        self._start = len(writer.lines)
        self._depth = writer.depth
        self._repeated = _repeated(table, outputs)
        self._names: dict[Hashable, str] = {}
        self._certain: set[str] = set()
        """Names that have their value wherever they are read from now on."""
        self._waiting: dict[str, None] = {}
        self._always_runs = False
        self.values: dict[str, Value] = {}
        """What is known of the elements that were made."""

    def is_repeated(self, what: Pipe | str) -> bool:
        return self._repeated[what] > 1

    @contextmanager
    def part(self, head: str) -> Iterator[None]:
        """One output, which `break` leaves; until it may be left, what is written always runs."""
        with self.writer.block(f"while True:  # {head}", ""):
            self._depth, self._always_runs = self.writer.depth, True
            yield
            self.writer.line("break")

    def may_leave(self) -> None:
        self._always_runs = False

    def name(self, key: Hashable, prefix: str) -> str:
        """The variable of a value; the same for the same key."""
        return self._names.setdefault(key, self._names.get(key) or self.writer.fresh(prefix))

    def write(self, name: str, write: Callable[[], None]) -> bool:
        """Writes what gives the variable its value, unless it has one; whether that always runs."""
        if name in self._certain:
            return True
        always = self._always_runs and self.writer.depth == self._depth
        if always:
            self._certain.add(name)
        if always and name not in self._waiting:
            write()
            return True
        self._waiting[name] = None
        with self.writer.block(f"if {name} is UNREAD"):
            write()
        return False

    def close(self) -> None:
        """At the start of the function, the values that nobody has asked for yet."""
        if self._waiting:
            self.writer.insert(self._start, f"{' = '.join(self._waiting)} = UNREAD")


def element_key(output: Output, name: str, node: Node) -> str:
    """The same for elements of the same type that are declared in the same place, in a block that outputs use."""
    return f"{output.resource_type}.{name} {node!r}"


def _repeated(table: TableMapping, outputs: tuple[Output, ...]) -> Counter[Pipe | str]:
    """How often pipes and elements are written, and in how many outputs and decoded values each column is read."""
    found: Counter[Pipe | str] = Counter()
    for output in outputs:
        pipes = [leaf.pipe for leaf in output_leaves(output)]
        found.update(pipes)
        found.update(_read(pipes))
        elements = output.body.children.items()
        found.update(element_key(output, name, node) for name, node in elements if _may_share(node, table))
    for leaf in table.decode.values():
        found.update(_read([leaf.pipe]))
    return found


def _may_share(node: Node, table: TableMapping) -> bool:
    """Whether the element is made of several values, none of them a word or number out of JSON."""
    columns = [column for leaf in leaves(node) for column in leaf.pipe.columns()]
    plain = all(not each.field or each.name == ITEM or each.name in table.parents for each in columns)
    return bool(columns) and plain and not isinstance(node, Leaf)


def _read(pipes: Iterable[Pipe]) -> set[str]:
    """The variables of columns that pipes read; a field of a JSON column is read out of the column."""
    columns = [column for pipe in pipes for column in pipe.columns()]
    return {variable(column) for column in columns} | {variable(Column(column.name)) for column in columns}
