"""Shared parts of templates: `uses: name(args)` puts a block's elements in, `{parameter}` replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.mapping.document import Node, Scalar, Sequence, Table, table, texts
from fhir_server.mapping.problem import refuse, suggestion

HEAD = re.compile(r"(?P<name>[a-z][\w-]*)(?:\((?P<args>[^()]*)\))?\Z")


@dataclass(frozen=True, slots=True)
class Block:
    parameters: tuple[str, ...]
    body: Table


def read(found: Node, file: str) -> Mapping[str, Block]:
    """The `blocks:` of a declaration, by name."""
    whole = table(found, file, "blocks")
    blocks = {}
    for head, body in whole.entries.items():
        name, parameters = _head(head, file, whole.lines[head])
        blocks[name] = Block(parameters, table(body, file, f"The block '{name}'"))
    return blocks


def expanded(output: Table, blocks: Mapping[str, Block], file: str) -> Table:
    """The output with the elements of the blocks it uses; what it says itself stands before what a block says."""
    if "uses" not in output.entries:
        return output
    entries = {name: value for name, value in output.entries.items() if name != "uses"}
    lines = dict(output.lines)
    for use in texts(output.entries["uses"], file, "uses"):
        block = _used(use, blocks, file, output.lines["uses"])
        for name, value in block.entries.items():
            if name not in entries:
                entries[name], lines[name] = value, block.lines[name]
    return Table(entries, lines, output.line)


def _used(use: str, blocks: Mapping[str, Block], file: str, line: int) -> Table:
    name, args = _head(use, file, line)
    if name not in blocks:
        raise refuse(file, line, f"There is no block '{name}'.{suggestion(name, blocks)}")
    block = blocks[name]
    if len(args) != len(block.parameters):
        raise refuse(file, line, f"The block '{name}' takes {len(block.parameters)} arguments, not {len(args)}.")
    filled = _filled(block.body, dict(zip(block.parameters, args, strict=True)))
    return table(filled, file, f"The block '{name}'")


def _head(text: str, file: str, line: int) -> tuple[str, tuple[str, ...]]:
    found = HEAD.match(text.strip())
    if not found:
        raise refuse(file, line, f"'{text}' does not name a block; write name or name(arguments).")
    args = found["args"]
    return found["name"], tuple(each.strip() for each in args.split(",")) if args else ()


def _filled(node: Node, values: Mapping[str, str]) -> Node:
    if isinstance(node, Sequence):
        return Sequence(tuple(_filled(each, values) for each in node.items), node.line)
    if isinstance(node, Table):
        return Table({name: _filled(each, values) for name, each in node.entries.items()}, node.lines, node.line)
    if isinstance(node.value, str):
        text = node.value
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return Scalar(text, node.line)
    return node
