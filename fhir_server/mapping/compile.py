"""Declarations become Python functions, written as source that can be read: `fhir-server migrate check --python`.

One function a table, `(row, key, related, context, findings, drafts)`: it appends what a row becomes to `drafts` and
what was wrong with it to `findings`; one more for each output that belongs to a value, or that rows make together.
Nothing of a declaration is walked while rows are mapped.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from fhir_server.fhir.resource import Resource
from fhir_server.mapping import fault, identity, text
from fhir_server.mapping.catalogue import METRIC, Catalogue, versioned
from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_list import field, json_value
from fhir_server.mapping.convert_time import inverted
from fhir_server.mapping.elements import change_places
from fhir_server.mapping.emit import Nodes
from fhir_server.mapping.emit_output import alone, together
from fhir_server.mapping.fault import Findings
from fhir_server.mapping.kinds import Scope
from fhir_server.mapping.model import Leaf, TableMapping, leaves
from fhir_server.mapping.once import UNREAD
from fhir_server.mapping.profiles import has
from fhir_server.mapping.traced import traced
from fhir_server.mapping.writer import Writer

Row = Sequence[Any]
Related = Mapping[str, Any]
TEST_ARGS = "row, related, context, findings"

REFUSED: Mapping[str, str] = {
    "HASH_CHAIN_BROKEN": "The row is not the one whose hash was kept, or the row before it is gone.",
    "SIGNATURE_MISMATCH": "The row is not the one that was signed.",
}
"""What is said of a row that a test does not let pass, by code."""


class Draft(msgspec.Struct, gc=False):
    """A resource or record that is to be stored; `key` is the row's, or the value's that it belongs to."""

    output: str
    key: str
    resource: Resource


@dataclass(frozen=True, slots=True)
class Compiled:
    """A table ready to run."""

    table: TableMapping
    source: str
    natural: frozenset[str]
    """Outputs that belong to a value: the first row that has it says what they hold."""
    organization: str | None
    """The table whose row is the tenant's organization."""
    writable: str | None
    """The output of which changes go back into the row."""
    metric: bool
    """Whether measurements are converted."""
    _key_at: tuple[int, ...]
    _outputs: Callable[..., None]
    _natural: tuple[Callable[..., None], ...]
    _merges: Mapping[str, tuple[Callable[..., None], ...]]
    _accepts: tuple[tuple[str, str, Callable[..., bool]], ...]
    _deleted: Callable[..., bool] | None
    _locked: Callable[..., bool] | None
    _amended: Callable[..., bool] | None
    _change: Callable[..., dict[str, Any]] | None

    def key(self, row: Row) -> str:
        """The primary key as text; parts of a composite one are joined by `:`."""
        if len(self._key_at) == 1:
            value = row[self._key_at[0]]
            return str(value) if value.__class__ is int else identity.key_text(value)
        return ":".join([identity.key_text(row[at]) for at in self._key_at])

    def key_values(self, row: Row) -> tuple[Any, ...]:
        return tuple(row[at] for at in self._key_at)

    def drafts(self, row: Row, key: str, related: Related, context: Context, findings: Findings) -> list[Draft]:
        """What a row becomes, apart from what it becomes together with others."""
        drafts: list[Draft] = []
        for code, column, accepts in self._accepts:
            if not accepts(row, related, context, findings):
                message = REFUSED.get(code, "The row is of no kind that is mapped.")
                findings.append(fault.Finding(code, fault.ERROR, column, self.table.name, message))
                return drafts
        self._outputs(row, key, related, context, findings, drafts)
        if len(findings) > 1:
            findings[:] = dict.fromkeys(findings)  # What several outputs make of a value fails once.
        return drafts

    def naturals(self, row: Row, related: Related, context: Context) -> set[tuple[str, str]]:
        """The outputs of the row that belong to values, by name and key."""
        drafts: list[Draft] = []
        for function in self._natural:
            function(row, "", related, context, [], drafts)
        return {(draft.output, draft.key) for draft in drafts}

    def merged(
        self, merge: str, row: Row, key: str, related: Related, context: Context, findings: Findings
    ) -> list[Draft]:
        """What rows with the same value become together; `row` is the one changed last."""
        drafts: list[Draft] = []
        for function in self._merges[merge]:
            function(row, key, related, context, findings, drafts)
        return drafts

    def deleted(self, row: Row, related: Related, context: Context) -> bool:
        return self._deleted is not None and self._deleted(row, related, context, [])

    def locked(self, row: Row, related: Related, context: Context) -> bool:
        """Whether the row may not have changed."""
        return self._locked is not None and self._locked(row, related, context, [])

    def amended(self, row: Row, related: Related, context: Context) -> bool:
        """Whether the row would be locked, had it not been changed on purpose."""
        return self._amended is not None and self._amended(row, related, context, [])

    def change(self, row: Row, related: Related, context: Context) -> dict[str, Any]:
        """What is said of the change of the row: its author, when it occurred, why."""
        return self._change(row, related, context, []) if self._change else {}


def place_of(item: Any, position: int) -> Any:
    """What tells the entries of a list apart: a key of their own, where they have one, else their position."""
    return item["key"] if isinstance(item, dict) and isinstance(item.get("key"), str) else position


NAMES: Mapping[str, Any] = {
    "Fault": fault.Fault,
    "noted": fault.noted,
    "missing": fault.missing,
    "lost": fault.lost,
    "PERIOD_INVERTED": fault.Fault("PERIOD_INVERTED", "The end lies before the start."),
    "NESTED": fault.Fault("TYPE_INVALID", "The value is an object or a list where a word or number belongs."),
    "inverted": inverted,
    "text": text.text,
    "VOCABULARY": text.VOCABULARY,
    "field": field,
    "json_value": json_value,
    "natural": identity.natural,
    "merged_key": identity.merged_key,
    "key_text": identity.key_text,
    "uuid5": identity.uuid5,
    "quote": quote,
    "place_of": place_of,
    "Draft": Draft,
    "UNREAD": UNREAD,
    "has": has,
    "traced": traced,
}
"""What the functions call."""


def compiled(table: TableMapping, catalogue: Catalogue, traces: list[Leaf] | None = None) -> Compiled:
    """The functions of a declaration that has been checked; with `traces`, their values know their leaves."""
    writer = Writer()
    writer.traces = traces
    writer.names.update(NAMES)
    names = [(each, alone(writer, table, catalogue, each)) for each in table.outputs if each.key or each.merge]
    together(writer, table, catalogue)
    tests = _tests(writer, table, catalogue)
    if table.change:
        _write_change(writer, table, catalogue)
    _run(writer, table)
    return Compiled(
        table=versioned(table, catalogue),
        source=writer.legend() + writer.source(),
        natural=frozenset(output.name for output in table.outputs if output.key),
        organization=catalogue.organization,
        writable=catalogue.writeback[table.table].output if table.table in catalogue.writeback else None,
        metric=catalogue.units == METRIC,
        _key_at=tuple(list(table.columns).index(name) for name in table.key),
        _outputs=writer.names["outputs"],
        _natural=tuple(writer.names[name] for output, name in names if output.key),
        _merges={
            merge: tuple(writer.names[name] for output, name in names if output.merge == merge)
            for merge in table.merges
        },
        _accepts=tuple(
            (each.code, each.test.pipe.column.name, writer.names[f"accepts_{at}"])
            for at, each in enumerate(table.accept)
        ),
        _deleted=writer.names.get("is_deleted") if "is_deleted" in tests else None,
        _locked=writer.names.get("is_locked") if "is_locked" in tests else None,
        _amended=writer.names.get("is_amended") if "is_amended" in tests else None,
        _change=writer.names["change"] if table.change else None,
    )


def _run(writer: Writer, table: TableMapping) -> None:
    """Makes the functions; tracebacks through them show their source."""
    name, source = f"<{table.file}>", writer.source()
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), writer.names)  # noqa: S102 - our own text, from declarations of the package


def _tests(writer: Writer, table: TableMapping, catalogue: Catalogue) -> set[str]:
    """The functions that say whether a row is accepted, deleted or locked."""
    wanted: dict[str, tuple[Leaf, ...]] = {f"accepts_{at}": (each.test,) for at, each in enumerate(table.accept)}
    if table.deleted:
        wanted["is_deleted"] = (table.deleted,)
    if table.lock:
        wanted["is_locked"] = (table.lock.when, *((table.lock.amended,) if table.lock.amended else ()))
        if table.lock.amended:
            wanted["is_amended"] = (table.lock.when, table.lock.amended)
    for name, found in wanted.items():
        nodes = Nodes(writer, table, catalogue)
        with writer.block(f"def {name}({TEST_ARGS})"):
            nodes.columns.load(leaf.pipe for leaf in found)
            joined = " and not " if name == "is_locked" else " and "
            writer.line(f"return {joined.join(f'({each})' for each in nodes.tests(found, table.name))}")
        writer.line("")
    return set(wanted)


def _write_change(writer: Writer, table: TableMapping, catalogue: Catalogue) -> None:
    """The function of what is said of the change of a row."""
    nodes, places, scope = Nodes(writer, table, catalogue), change_places(), Scope(table)
    with writer.block(f"def change({TEST_ARGS})"):
        nodes.columns.load(leaf.pipe for node in table.change.values() for leaf in leaves(node))
        nodes.fill("said", {name: nodes.node(node, places[name], scope) for name, node in table.change.items()})
        writer.line("return said")
    writer.line("")
