"""Declarations become Python functions, written as source that can be read: `fhir-server migrate check --python`.

One function an output, `(row, key, related, context, findings, drafts)`: it appends what the row becomes to `drafts`
and what was wrong with it to `findings`. Nothing of a declaration is walked while rows are mapped.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import quote

from fhir_server.fhir.resource import Resource
from fhir_server.mapping import fault, identity, text
from fhir_server.mapping.catalogue import METRIC, Catalogue, versioned
from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_list import field, json_value
from fhir_server.mapping.convert_time import inverted
from fhir_server.mapping.elements import change_places, root
from fhir_server.mapping.emit import Nodes, none_of, uncertain
from fhir_server.mapping.emit_columns import variable
from fhir_server.mapping.emit_pipe import VARIES, Value
from fhir_server.mapping.fault import Findings
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.kinds import Scope, column_kind
from fhir_server.mapping.model import Leaf, Output, TableMapping, leaves, output_leaves
from fhir_server.mapping.profiles import Profile
from fhir_server.mapping.traced import traced
from fhir_server.mapping.writer import Writer

Row = Sequence[Any]
Related = Mapping[str, Any]
ROW_ARGS = "row, key, related, context, findings, drafts"
TEST_ARGS = "row, related, context, findings"
TIMES = frozenset({"timestamp", "timestamptz"})
LEGACY = frozenset({("identifier", "use"), ("identifier", "system"), ("identifier", "value")})
"""What the identifier that carries the key of the row always has; it has no type."""


REFUSED: Mapping[str, str] = {
    "HASH_CHAIN_BROKEN": "The row is not the one whose hash was kept, or the row before it is gone.",
    "SIGNATURE_MISMATCH": "The row is not the one that was signed.",
}
"""What is said of a row that a test does not let pass, by code."""


class Draft(NamedTuple):
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
    _rows: tuple[Callable[..., None], ...]
    _natural: tuple[Callable[..., None], ...]
    _merges: Mapping[str, tuple[Callable[..., None], ...]]
    _accepts: tuple[tuple[str, str, Callable[..., bool]], ...]
    _deleted: Callable[..., bool] | None
    _locked: Callable[..., bool] | None
    _amended: Callable[..., bool] | None
    _change: Callable[..., dict[str, Any]] | None

    def key(self, row: Row) -> str:
        """The primary key as text; parts of a composite one are joined by `:`."""
        return ":".join(map(identity.key_text, self.key_values(row)))

    def key_values(self, row: Row) -> tuple[Any, ...]:
        names = list(self.table.columns)
        return tuple(row[names.index(name)] for name in self.table.key)

    def drafts(self, row: Row, key: str, related: Related, context: Context, findings: Findings) -> list[Draft]:
        """What a row becomes, apart from what it becomes together with others."""
        drafts: list[Draft] = []
        for code, column, accepts in self._accepts:
            if not accepts(row, related, context, findings):
                message = REFUSED.get(code, "The row is of no kind that is mapped.")
                findings.append(fault.Finding(code, fault.ERROR, column, self.table.name, message))
                return drafts
        for function in self._rows:
            function(row, key, related, context, findings, drafts)
        findings[:] = dict.fromkeys(findings)  # A decoded value that several outputs use fails once.
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
    "field": field,
    "json_value": json_value,
    "natural": identity.natural,
    "merged_key": identity.merged_key,
    "quote": quote,
    "place_of": place_of,
    "Draft": Draft,
    "traced": traced,
}
"""What the functions call."""


def compiled(table: TableMapping, catalogue: Catalogue, traces: list[Leaf] | None = None) -> Compiled:
    """The functions of a declaration that has been checked; with `traces`, their values know their leaves."""
    writer = Writer()
    writer.traces = traces
    writer.names.update(NAMES)
    names = [_Function(writer, table, catalogue, output).write() for output in table.outputs]
    tests = _tests(writer, table, catalogue)
    if table.change:
        _write_change(writer, table, catalogue)
    _run(writer, table)
    functions = [(output.merge, writer.names[name]) for output, name in zip(table.outputs, names, strict=True)]
    return Compiled(
        table=versioned(table, catalogue),
        source=writer.legend() + writer.source(),
        natural=frozenset(output.name for output in table.outputs if output.key),
        organization=catalogue.organization,
        writable=catalogue.writeback[table.table].output if table.table in catalogue.writeback else None,
        metric=catalogue.units == METRIC,
        _rows=tuple(function for merge, function in functions if not merge),
        _natural=tuple(writer.names[name] for output, name in zip(table.outputs, names, strict=True) if output.key),
        _merges={name: tuple(function for merge, function in functions if merge == name) for name in table.merges},
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


class _Function:
    """Writes the function of one output."""

    def __init__(self, writer: Writer, table: TableMapping, catalogue: Catalogue, output: Output):
        self.writer, self.table, self.catalogue, self.output = writer, table, catalogue, output
        self.place = root(output.resource_type)
        self.nodes = Nodes(writer, table, catalogue)
        self.scope = Scope(table)
        self.leave = "continue" if output.each else "return"

    def write(self) -> str:
        output, write = self.output, self.writer.line
        name = self.writer.fresh(f"{output.resource_type}_{(output.label or '').replace('-', '_')}_".replace("/", "_"))
        with self.writer.block(f"def {name}({ROW_ARGS})"):
            write(f'"""{output.name}, {self.table.file}:{output.line}"""')
            self._conditions()
            self.nodes.columns.load(leaf.pipe for leaf in output_leaves(output))
            self._key()
            if output.each:
                self._loop(output.each)
            else:
                self._resource(repr(output.name))
        write("")
        return name

    def _conditions(self) -> None:
        """When the output is made at all; without a stated condition, when a column gives it a value."""
        output = self.output
        self.nodes.columns.load(leaf.pipe for leaf in output.when)
        for condition in self.nodes.tests(output.when, output.name):
            with self.writer.block(f"if not ({condition})"):
                self.writer.line("return")
        if output is not self.table.outputs[0] and not (output.when or output.each or output.key or output.merge):
            self._created()

    def _created(self) -> None:
        """Keys, times of change and the subject create no output."""
        pipes = [leaf.pipe for leaf in output_leaves(self.output) if self._is_creating(leaf)]
        self.nodes.columns.load(pipes)
        names = dict.fromkeys(variable(pipe.column) for pipe in pipes)
        with self.writer.block(f"if {' and '.join(f'{name} is None' for name in names) or True}"):
            self.writer.line("return")

    def _is_creating(self, leaf: Leaf) -> bool:
        column = leaf.pipe.column
        is_own = column.name in self.table.columns or column.name in self.table.decode
        if not is_own or column.name in self.nodes.pipes.steering:
            return False
        about_patient = any(step.name == "reference" and step.args[0] == "Patient" for step in leaf.pipe.steps)
        return not about_patient and column_kind(column, self.scope) not in TIMES

    def _key(self) -> None:
        if self.output.key:
            value = self.nodes.pipes.emit(self.output.key.pipe, self.output.name, None)
            with self.writer.block(f"if {value.name} is None"):
                self.writer.line("return")
            self.writer.line(f"key = natural({value.name})")

    def _loop(self, each: Leaf) -> None:
        items = self.nodes.pipes.emit(each.pipe, self.output.name, None)
        self.scope = self.scope.inside(each.pipe)
        self.nodes.pipes.items_of = items.column
        with self.writer.block(f"for position, item in enumerate({items.name} or (), 1)"):
            self.nodes.columns.items([leaf.pipe for leaf in output_leaves(self.output)], self.scope)
            self._resource(f"f'{self.output.name}:{{place_of(item, position)}}'")

    def _resource(self, name: str) -> None:
        """The resource itself, or nothing where a required element has no value."""
        write, body = self.writer.line, self.output.body
        children = {
            child: self.nodes.node(node, self.place.child(child), self.scope) for child, node in body.children.items()
        }
        self._legacy(children)
        self._required(children)
        write(f"name = {name}")
        resource_id = f"context.ids.of(f'{self.table.source}/{self.table.table}/{{key}}/{{name}}')"
        head = f"'resourceType': {self.output.resource_type!r}, 'id': {resource_id}"
        if not is_feature(self.output.resource_type):
            origin = f"urn:legacy:{self.table.source}:{self.table.table}:"
            place = self.place.child("meta")
            meta = {
                each: self.nodes.node(node, place.child(each), self.scope) for each, node in self.output.meta.items()
            }
            tags = self._tags(meta)
            write(f"meta = {{'source': {origin!r} + (key if key.isalnum() else quote(key, safe='~:')){tags}}}")
            self._labels(meta)
            head += ", 'meta': meta"
        self.nodes.fill("resource", children, head)
        for profile in self.output.profiles:
            self._claim(self.catalogue.profiles[profile], children)
        write("drafts.append(Draft(name, key, resource))")

    def _legacy(self, children: dict[str, Value]) -> None:
        """Where a resource can be identified, it also carries the key of the row it comes from."""
        if is_feature(self.output.resource_type) or "identifier" not in self.place.names():
            return
        system = f"{self.catalogue.base}/legacy/{self.table.source}/{self.table.table}"
        legacy = f"{{'use': 'secondary', 'system': {system!r}, 'value': key}}"
        own = children.get("identifier")
        many = self.place.child("identifier").many
        if own and many:
            children["identifier"] = Value(
                f"[*{own.name}, {legacy}]" if own.always else f"[*({own.name} or ()), {legacy}]", always=True
            )
        elif not own:
            children["identifier"] = Value(f"[{legacy}]" if many else legacy, always=True)

    def _required(self, children: Mapping[str, Value]) -> None:
        wanted = uncertain(self.place, children)
        for names in wanted:
            column = next((children[name].column for name in names if name in children), "")
            with self.writer.block(f"if {none_of(names, children)}"):
                self.writer.line(f"missing(findings, {column!r}, {f'{self.place.path}.{names[0]}'!r})")
        if wanted:
            with self.writer.block(f"if {' or '.join(f'({none_of(names, children)})' for names in wanted)}"):
                self.writer.line(self.leave)

    def _tags(self, own: Mapping[str, Value]) -> str:
        """What is the same for every row."""
        tag = {"system": f"{self.catalogue.base}/CodeSystem/legacy-source", "code": self.table.source}
        shared = {name: value.shared for name, value in own.items() if value.shared is not VARIES}
        tags = [tag, *shared.pop("tag", [])]
        parts = [f", 'tag': {self.writer.constant(tags)}"]
        return "".join([*parts, *(f", {name!r}: {self.writer.constant(value)}" for name, value in shared.items())])

    def _labels(self, own: Mapping[str, Value]) -> None:
        """What a row says about its resource: that it is sensitive."""
        for name, value in own.items():
            if value.shared is VARIES:
                own_first = f"[*{value.name}, *meta['tag']]" if name == "tag" else value.name
                with self.writer.block(f"if {value.name} is not None"):
                    self.writer.line(f"meta[{name!r}] = {own_first}")

    def _claim(self, profile: Profile, children: Mapping[str, Value]) -> None:
        """Only what can be missing is looked for; the legacy identifier is always there, required elements are too."""
        certain = {name for name, value in children.items() if value.always}
        certain |= {names[0] for names in self.place.required_names() if len(names) == 1}
        left = [
            wanted
            for wanted in profile.mandatory
            if not any(path[0] in certain and (len(path) == 1 or path in LEGACY) for path in wanted)
        ]
        claim = f"meta['profile'] = [*meta.get('profile', ()), {profile.url!r}]"
        if not left:
            self.writer.line(claim)
            return
        word = self.writer.fresh("claims_")
        self.writer.names[word] = replace(profile, mandatory=tuple(left)).claimed
        with self.writer.block(f"if {word}(resource)"):
            self.writer.line(claim)
