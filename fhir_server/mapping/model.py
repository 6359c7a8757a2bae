"""The typed model of a declaration: what a YAML file of `mappings/` says, with the line of each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from fhir_server.mapping.grammar import Column, Pipe, Step

TYPES = frozenset({"text", "integer", "decimal", "boolean", "date", "timestamp", "timestamptz", "time", "json", "blob"})
"""Column types that a declaration may name."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    name: str
    required: bool
    """Never null: written with a `!`."""
    line: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that a row gives."""

    pipe: Pipe
    line: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A primitive that every resource shares."""

    value: str | int | Decimal | bool
    line: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A shared value of a data type: `=cc(orgtype|pay)`."""

    step: Step
    line: int


@dataclass(frozen=True, slots=True)
class First:
    """The first of several nodes that has a value."""

    options: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Group:
    """An element with children; it appears only when a column gives one of them a value."""

    children: Mapping[str, Node]
    lines: Mapping[str, int]
    line: int
    when: tuple[Leaf, ...] = ()
    needs: tuple[str, ...] = ()
    """Children of which one must have a value, as an invariant asks."""


@dataclass(frozen=True, slots=True)
class Each:
    """One entry for each item of a list: `$item` is the item, `$position` counts from one."""

    items: Leaf
    body: Node
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    """A repeating element."""

    items: tuple[Node, ...]
    line: int


Node = Leaf | Literal | Constant | First | Group | Each | Items


@dataclass(frozen=True, slots=True)
class Parent:
    """A row of another table that this row points to, read with it: `$name.column`."""

    name: str
    table: str
    by: str
    on: Column
    """A column of this row, or of another parent of it: `$encounter.patient_id`."""
    columns: Mapping[str, ColumnType]
    line: int
    order: tuple[str, ...] = ()
    """Which of several rows it is: the first in this order."""


@dataclass(frozen=True, slots=True)
class Children:
    """Rows of another table that point to this row, as a list: `$name`.

    `on` may be a column of a parent, or of the rows of another list: then each row has their columns as `list_column`.
    """

    name: str
    table: str
    by: str
    on: Column
    order: tuple[str, ...]
    columns: Mapping[str, ColumnType]
    line: int


@dataclass(frozen=True, slots=True)
class Merge:
    """Rows of this table that share a value and become one resource: `$name` is the list of them."""

    name: str
    by: str
    order: tuple[str, ...]
    line: int
    field: str | None = None
    """The member of a JSON column that holds the value: `$dicom_metadata.StudyInstanceUID`."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A row that may not change once `when` holds, unless `amended` says that it was changed on purpose."""

    when: Leaf
    amended: Leaf | None
    reason: Column | None
    hash: Column | None
    line: int


@dataclass(frozen=True, slots=True)
class Accept:
    """A test that a row must pass; one that fails it is quarantined with the code."""

    code: str
    test: Leaf


@dataclass(frozen=True, slots=True)
class Output:
    """One resource that a row, an item of a row, or a group of rows gives."""

    resource_type: str
    label: str | None
    body: Group
    profiles: tuple[str, ...]
    meta: Mapping[str, Node]
    key: Leaf | None
    """A natural key in place of the row's: payers by name."""
    merge: str | None
    when: tuple[Leaf, ...]
    each: Leaf | None
    line: int

    @property
    def name(self) -> str:
        return f"{self.resource_type}#{self.label}" if self.label else self.resource_type


@dataclass(frozen=True, slots=True)
class TableMapping:
    """A declaration: one legacy table."""

    source: str
    table: str
    file: str
    version: str
    """Content hash of what the declaration was read from: a changed mapping maps its rows again."""
    key: tuple[str, ...]
    tenant: tuple[str, ...]
    """Whose row it is: columns, parents or children, the first that says so."""
    watermark: tuple[str, ...]
    deleted: Leaf | None
    lock: Lock | None
    columns: Mapping[str, ColumnType]
    values: Mapping[str, tuple[str, ...]]
    """Values of a column that the source documents; its maps must know them."""
    parents: Mapping[str, Parent]
    children: Mapping[str, Children]
    merges: Mapping[str, Merge]
    decode: Mapping[str, Leaf]
    accept: tuple[Accept, ...]
    outputs: tuple[Output, ...]
    change: Mapping[str, Node]
    """What the Provenance of a row says of its change: `author`, `occurred` and `reason`."""
    provenance: str
    """Whether where its resources come from is told by `row`, by `batch`, or not (`off`)."""
    drop: Mapping[str, str]
    lines: Mapping[str, int]
    """Where each top-level part stands, and each dropped column as `drop.name`."""

    @property
    def name(self) -> str:
        return f"{self.source}.{self.table}"

    @property
    def related(self) -> tuple[Parent | Children, ...]:
        """The rows of other tables that the declaration speaks of."""
        return (*self.parents.values(), *self.children.values())

    @property
    def read_with(self) -> tuple[Parent | Children, ...]:
        """What is read with each row: not the rows that only say whose it is."""
        used = {column.name for leaf in table_leaves(self) for column in leaf.pipe.columns()}
        used |= {each.on.name for each in self.related if each.on.field}
        return (*self.parents.values(), *(each for name, each in self.children.items() if name in used))


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf below a node, conditions and loops included."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, First):
        for option in node.options:
            yield from leaves(option)
    elif isinstance(node, Items):
        for item in node.items:
            yield from leaves(item)
    elif isinstance(node, Each):
        yield node.items
        yield from leaves(node.body)
    elif isinstance(node, Group):
        yield from node.when
        for child in node.children.values():
            yield from leaves(child)


def output_leaves(output: Output) -> Iterator[Leaf]:
    yield from output.when
    for single in (output.key, output.each):
        if single:
            yield single
    for extra in output.meta.values():
        yield from leaves(extra)
    yield from leaves(output.body)


def table_leaves(table: TableMapping) -> Iterator[Leaf]:
    """Every leaf of a declaration."""
    if table.deleted:
        yield table.deleted
    if table.lock:
        yield table.lock.when
        if table.lock.amended:
            yield table.lock.amended
    yield from table.decode.values()
    for node in table.change.values():
        yield from leaves(node)
    yield from (each.test for each in table.accept)
    for output in table.outputs:
        yield from output_leaves(output)
