"""A strict YAML reader that keeps lines: scalars are text unless they are a plain number, true, false or null.

No tags, anchors, merges, dates, `yes` or `012`: what stands in the file is what is meant.  https://yaml.org/spec/1.2.2/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from fhir_server.mapping.problem import MappingError, refuse

NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?\Z")
WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}
CLEVER = (yaml.TagToken, yaml.AnchorToken, yaml.AliasToken)
QUOTES = ("'", '"', "|", ">")
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    value: str | int | Decimal | bool | None
    line: int


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Any, ...]
    line: int

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


@dataclass(frozen=True, slots=True)
class Table:
    """A YAML mapping; `lines` says where each key stands."""

    entries: Mapping[str, Any]
    lines: Mapping[str, int]
    line: int


Node = Scalar | Sequence | Table


def read(text: str, file: str) -> Table:
    """The document of a file, which must be a mapping."""
    try:
        for token in yaml.scan(text, Loader=LOADER):
            if isinstance(token, CLEVER):
                raise refuse(file, token.start_mark.line + 1, "Tags, anchors and aliases ('!', '&', '*') are not read.")
        root = yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 1
        raise refuse(file, line, f"This is not YAML: {fault.problem or fault.context}.") from fault
    except yaml.reader.ReaderError as fault:
        raise refuse(file, 1, f"This is not YAML: {fault.reason}.") from fault
    found = None if root is None else _node(root, file)
    if not isinstance(found, Table):
        raise refuse(file, 1, "A declaration is a mapping of names to values.")
    return found


def _node(node: yaml.Node, file: str) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return Scalar(_scalar(node, file), line)
    if isinstance(node, yaml.SequenceNode):
        return Sequence(tuple(_node(each, file) for each in node.value), line)
    return _table(node, file)


def _table(node: yaml.Node, file: str) -> Table:
    entries: dict[str, Node] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        name = _key(key, file)
        if name in entries:
            raise refuse(file, line, f"The key '{name}' stands twice, first in line {lines[name]}.")
        entries[name], lines[name] = _node(value, file), line
    return Table(entries, lines, node.start_mark.line + 1)


def _key(node: yaml.Node, file: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.value == "<<":
        raise refuse(file, node.start_mark.line + 1, "A key is plain text; merges ('<<') are not read.")
    return str(node.value)


def _scalar(node: yaml.ScalarNode, file: str) -> str | int | Decimal | bool | None:
    if node.style in QUOTES:
        return str(node.value)
    if node.value in WORDS:
        return WORDS[node.value]
    if node.value == "":
        raise refuse(file, node.start_mark.line + 1, "A value is missing here; write null where nothing is meant.")
    if NUMBER.match(node.value):
        return Decimal(node.value) if "." in node.value else int(node.value)
    return str(node.value)


def plain(node: Node) -> Any:
    """The node without its lines."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(each) for each in node.items]
    return {name: plain(value) for name, value in node.entries.items()}


def text(node: Node, file: str, what: str) -> str:
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return node.value
    raise refuse(file, node.line, f"{what} is text.")


def texts(node: Node, file: str, what: str) -> tuple[str, ...]:
    """One text or a list of them."""
    items = node.items if isinstance(node, Sequence) else (node,)
    return tuple(text(each, file, what) for each in items)


def table(node: Node, file: str, what: str) -> Table:
    if isinstance(node, Table):
        return node
    raise refuse(file, node.line, f"{what} is a mapping of names to values.")


def sequence(node: Node, file: str, what: str) -> Sequence:
    if isinstance(node, Sequence):
        return node
    raise refuse(file, node.line, f"{what} is a list.")


__all__ = ["MappingError", "Node", "Scalar", "Sequence", "Table", "plain", "read", "sequence", "table", "text", "texts"]
