"""One file of `mappings/<source>/` as a typed declaration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.mapping import blocks, document, model, template
from fhir_server.mapping.blocks import Block
from fhir_server.mapping.document import Node, Table, table, text, texts
from fhir_server.mapping.grammar import Column
from fhir_server.mapping.model import (
    TYPES,
    Accept,
    Children,
    ColumnType,
    Leaf,
    Lock,
    Merge,
    Output,
    Parent,
    TableMapping,
)
from fhir_server.mapping.problem import refuse, suggestion

PARTS = frozenset(
    [
        "source",
        "key",
        "tenant",
        "watermark",
        "deleted",
        "lock",
        "columns",
        "values",
        "parents",
        "children",
        "merges",
        "decode",
        "accept",
        "blocks",
        "outputs",
        "change",
        "provenance",
        "drop",
    ]
)
PROVENANCE = ("row", "batch", "off")
"""How it is told where resources come from; the first holds where nothing is said."""
CHANGE = frozenset({"author", "occurred", "reason"})
"""What may be said of the change of a row."""
STEERING = frozenset({"resourceType", "feature", "label", "key", "merge", "when", "each", "meta"})


def read(raw: str, file: str, shared: str = "") -> TableMapping:
    """A declaration, its grammar checked but not yet what it says about FHIR; `shared` holds blocks for all of them."""
    common = blocks.read(document.read(shared, "blocks.yaml"), "blocks.yaml") if shared else {}
    reader = _Reader(document.read(raw, file), file, common)
    used = shared if reader.uses & common.keys() else ""
    return reader.declaration(hashlib.sha256(f"{raw}{used}".encode()).hexdigest()[:16])


class _Reader:
    """The parts of one file."""

    def __init__(self, whole: Table, file: str, common: Mapping[str, Block]):
        self.whole, self.file = whole, file
        _known(whole, PARTS, file, "a declaration")
        for part in ("source", "key", "columns"):
            if part not in whole.entries:
                raise refuse(file, whole.line, f"A declaration has the part '{part}'.")
        own = blocks.read(whole.entries["blocks"], file) if "blocks" in whole.entries else {}
        self.blocks = {**common, **own}
        self.uses = set(self._used()) - own.keys()

    def declaration(self, version: str) -> TableMapping:
        source, _, name = text(self.whole.entries["source"], self.file, "source").partition(".")
        if not name:
            raise refuse(self.file, self.whole.lines["source"], "source is written system.table, such as pms.clients.")
        dropped = self._part("drop")
        return TableMapping(
            source=source,
            table=name,
            file=self.file,
            version=version,
            key=tuple(self._columns("key")),
            tenant=tuple(self._columns("tenant")),
            watermark=tuple(self._columns("watermark")),
            deleted=self._leaf("deleted"),
            lock=self._lock(),
            columns=self._column_types(self._part("columns")),
            values={name: texts(found, self.file, name) for name, found in self._part("values").entries.items()},
            parents={name: self._parent(name, found) for name, found in self._part("parents").entries.items()},
            children={name: self._children(name, found) for name, found in self._part("children").entries.items()},
            merges={name: self._merge(name, found) for name, found in self._part("merges").entries.items()},
            decode={
                name: template.leaf(found, self.file, name) for name, found in self._part("decode").entries.items()
            },
            accept=tuple(self._accept()),
            outputs=tuple(self._outputs()),
            change=self._change(),
            provenance=self._provenance(),
            drop={name: text(found, self.file, f"The reason for {name}") for name, found in dropped.entries.items()},
            lines={**self.whole.lines, **{f"drop.{name}": line for name, line in dropped.lines.items()}},
        )

    def _part(self, name: str) -> Table:
        found = self.whole.entries.get(name)
        return Table({}, {}, self.whole.line) if found is None else table(found, self.file, name)

    def _columns(self, part: str) -> Iterable[str]:
        found = self.whole.entries.get(part)
        if found is None:
            return ()
        return (leaf.pipe.column.name for leaf in template.leaves(found, self.file, part))

    def _leaf(self, part: str) -> Leaf | None:
        found = self.whole.entries.get(part)
        return template.leaf(found, self.file, part) if found else None

    def _column_types(self, found: Table) -> Mapping[str, ColumnType]:
        return {name: self._column_type(name, kind) for name, kind in found.entries.items()}

    def _column_type(self, name: str, found: Node) -> ColumnType:
        written = text(found, self.file, f"The type of {name}")
        kind = written.removesuffix("!")
        if kind not in TYPES:
            raise refuse(self.file, found.line, f"'{written}' is no column type.{suggestion(kind, TYPES)}")
        return ColumnType(kind, written.endswith("!"), found.line)

    def _related(self, name: str, found: Node, more: frozenset[str] = frozenset()) -> dict[str, Any]:
        part = table(found, self.file, f"'{name}'")
        wanted = frozenset({"table", "by", "on", "columns"})
        _known(part, wanted | more, self.file, f"'{name}'")
        _complete(part, wanted, self.file, f"'{name}'")
        return {
            "name": name,
            "table": text(part.entries["table"], self.file, "table"),
            "by": text(part.entries["by"], self.file, "by"),
            "on": template.leaf(part.entries["on"], self.file, "on").pipe.column,
            "columns": self._column_types(table(part.entries["columns"], self.file, "columns")),
            "line": part.line,
        }

    def _parent(self, name: str, found: Node) -> Parent:
        related = self._related(name, found, frozenset({"order"}))
        return Parent(**related, order=self._order(found))

    def _children(self, name: str, found: Node) -> Children:
        related = self._related(name, found, frozenset({"order"}))
        _complete(table(found, self.file, name), frozenset({"order"}), self.file, f"'{name}'")
        return Children(**related, order=self._order(found))

    def _order(self, found: Node) -> tuple[str, ...]:
        entries = table(found, self.file, "A relation").entries
        return texts(entries["order"], self.file, "order") if "order" in entries else ()

    def _merge(self, name: str, found: Node) -> Merge:
        part = table(found, self.file, f"'{name}'")
        _known(part, frozenset({"by", "order"}), self.file, f"'{name}'", complete=True)
        by = template.leaf(part.entries["by"], self.file, "by").pipe.column
        order = template.leaves(part.entries["order"], self.file, "order")
        return Merge(name, by.name, tuple(each.pipe.column.name for each in order), part.line, by.field)

    def _change(self) -> Mapping[str, model.Node]:
        if "change" not in self.whole.entries:
            return {}
        part = self._part("change")
        _known(part, CHANGE, self.file, "change")
        return {name: template.node(found, self.file) for name, found in part.entries.items()}

    def _lock(self) -> Lock | None:
        if "lock" not in self.whole.entries:
            return None
        part = self._part("lock")
        _known(part, frozenset({"when", "amended", "reason", "hash"}), self.file, "lock")
        if "when" not in part.entries:
            raise refuse(self.file, part.line, "lock says with 'when' what locks a row.")
        found = {name: template.leaf(value, self.file, f"lock.{name}") for name, value in part.entries.items()}

        def column(name: str) -> Column | None:
            return found[name].pipe.column if name in found else None

        return Lock(found["when"], found.get("amended"), column("reason"), column("hash"), part.line)

    def _accept(self) -> Iterable[Accept]:
        for code, found in self._part("accept").entries.items():
            yield from (Accept(code, leaf) for leaf in template.leaves(found, self.file, code))

    def _provenance(self) -> str:
        found = self.whole.entries.get("provenance")
        if found is None:
            return PROVENANCE[0]
        written = text(found, self.file, "provenance")
        if written not in PROVENANCE:
            near = suggestion(written, PROVENANCE)
            raise refuse(self.file, found.line, f"'{written}' is no way to tell where resources come from.{near}")
        return written

    def _used(self) -> Iterable[str]:
        """The blocks that outputs name."""
        outputs = self.whole.entries.get("outputs")
        for each in outputs if isinstance(outputs, document.Sequence) else ():
            if isinstance(each, Table) and "uses" in each.entries:
                yield from (use.partition("(")[0].strip() for use in texts(each.entries["uses"], self.file, "uses"))

    def _outputs(self) -> Iterable[Output]:
        if "outputs" not in self.whole.entries:
            return
        for found in document.sequence(self.whole.entries["outputs"], self.file, "outputs"):
            yield self._output(blocks.expanded(table(found, self.file, "An output"), self.blocks, self.file))

    def _output(self, found: Table) -> Output:
        entries = found.entries
        kind = next((name for name in ("resourceType", "feature") if name in entries), None)
        if kind is None:
            raise refuse(self.file, found.line, "An output says its resourceType, or its feature.")
        meta = table(entries["meta"], self.file, "meta").entries if "meta" in entries else {}
        return Output(
            resource_type=text(entries[kind], self.file, kind),
            label=text(entries["label"], self.file, "label") if "label" in entries else None,
            body=template.group(found, self.file, STEERING),
            profiles=texts(meta["profile"], self.file, "meta.profile") if "profile" in meta else (),
            meta={name: template.node(value, self.file) for name, value in meta.items() if name != "profile"},
            key=template.leaf(entries["key"], self.file, "key") if "key" in entries else None,
            merge=text(entries["merge"], self.file, "merge") if "merge" in entries else None,
            when=template.leaves(entries["when"], self.file, "when") if "when" in entries else (),
            each=template.leaf(entries["each"], self.file, "each") if "each" in entries else None,
            line=found.line,
        )


def _known(part: Table, names: frozenset[str], file: str, what: str, *, complete: bool = False) -> None:
    for name in part.entries:
        if name not in names:
            raise refuse(file, part.lines[name], f"'{name}' is no part of {what}.{suggestion(name, names)}")
    if complete:
        _complete(part, names, file, what)


def _complete(part: Table, names: frozenset[str], file: str, what: str) -> None:
    missing = sorted(names - set(part.entries))
    if missing:
        raise refuse(file, part.line, f"{what} lacks {', '.join(missing)}.")
