"""Golden rows: what rows of a legacy table become.  `python -m tests.mappings.golden` writes the answers anew.

A case holds rows as the driver gives them, with their parents and children; the answer is every resource and finding.
`enums` are short cases: a row with one column changed, the typical one unless a title is named, and one element of
the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fhir_server.mapping import catalogue, check, document
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.ciphers import SCHEMES
from fhir_server.mapping.compile import Compiled, compiled
from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_list import member_of
from fhir_server.mapping.fault import Finding
from fhir_server.mapping.identity import Identity, merged_key
from fhir_server.mapping.model import Merge
from seed.sealing import SAMPLE_KEY

ROOT = Path(__file__).parent
HEAD = (
    "# Rows in, resources out; the answers are written by `python -m tests.mappings.golden` and reviewed as a diff.\n"
)
Answer = dict[str, Any]


@dataclass(frozen=True)
class Golden:
    """The cases of one table."""

    path: Path
    table: Compiled
    cases: list[dict[str, Any]]
    enums: list[list[Any]]


@cache
def declared(source: str) -> Catalogue:
    found = catalogue.load(source)
    check.proven(found)
    return found


def read() -> Iterator[Golden]:
    for path in sorted(ROOT.glob("*/*.yaml")):
        found = document.plain(document.read(path.read_text("utf-8"), path.name))
        source = declared(path.parent.name)
        yield Golden(path, compiled(source.tables[path.stem], source), found["cases"], found.get("enums", []))


def context(table: Compiled) -> Context:
    keys = {name: SCHEMES[scheme](SAMPLE_KEY) for name, scheme in declared(table.table.source).keys.items()}
    return Context(Identity(catalogue.DEFAULT_BASE, "acme"), date(2025, 6, 30), keys=keys, owner="acme")


def answer(golden: Golden, case: dict[str, Any]) -> Answer:
    """The resources and findings of a case; several rows also become what they make together."""
    findings: list[Finding] = []
    resources: Answer = {}
    changes: list[Any] = []
    for row in case["rows"]:
        values = tuple(row.get(name) for name in golden.table.table.columns)
        key = golden.table.key(values)
        for draft in golden.table.drafts(values, key, _related(golden, case), context(golden.table), findings):
            resources[f"{draft.output} {draft.key}"] = draft.resource
        changes.append(golden.table.change(values, _related(golden, case), context(golden.table)))
    for merge in golden.table.table.merges.values():
        resources |= _merged(golden, case, merge, findings)
    said = {"change": changes} if any(changes) else {}
    found = [f"{each.code} {each.severity} {each.path}" for each in findings]
    return {"resources": resources, **said, "findings": found}


def _merged(golden: Golden, case: dict[str, Any], merge: Merge, findings: list[Finding]) -> Answer:
    rows = [row for row in case["rows"] if member_of(row.get(merge.by), merge.field) is not None]
    if not rows:
        return {}
    columns = golden.table.table.columns
    parents = golden.table.table.parents.values()
    beside = {
        f"{each.name}_{column}": case.get("parents", {}).get(each.name, {}).get(column)
        for each in parents
        for column in each.columns
    }
    items = [{**beside, **{column: row.get(column) for column in columns}} for row in rows]
    lead = tuple(
        next((row[column] for row in reversed(rows) if row.get(column) is not None), None) for column in columns
    )
    related = {**_related(golden, case), merge.name: items}
    key = merged_key(member_of(rows[0][merge.by], merge.field))
    drafts = golden.table.merged(merge.name, lead, key, related, context(golden.table), findings)
    return {f"{draft.output} {draft.key}": draft.resource for draft in drafts}


def _related(golden: Golden, case: dict[str, Any]) -> dict[str, Any]:
    parents = {name: case.get("parents", {}).get(name) for name in golden.table.table.parents}
    return parents | {
        name: [dict.fromkeys(each.columns) | row for row in case.get("children", {}).get(name, [])]
        for name, each in golden.table.table.children.items()
    }


def enum_answer(golden: Golden, line: list[Any]) -> Any:
    """One element of what a case becomes with one column changed; `path` is `Type.element.0.element`.

    The first case, or the one whose title stands at the end of the line.
    """
    column, value, path, _, *title = line
    case = next(each for each in golden.cases if not title or each["title"] == title[0])
    found = answer(golden, {**case, "rows": [{**case["rows"][0], column: value}]})
    output, *steps = path.split(".")
    resources = [each for name, each in found["resources"].items() if name.split(" ")[0] == output]
    if not resources:
        return next((each for each in found["findings"] if " error " in each), None)
    node: Any = resources[0]
    for step in steps:
        if isinstance(node, list):
            node = node[int(step)] if int(step) < len(node) else None
        else:
            node = node.get(step) if isinstance(node, dict) else None
    return node


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _number(dumper: yaml.SafeDumper, value: Decimal) -> yaml.ScalarNode:
    kind = "float" if "." in str(value) else "int"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", str(value))


_Dumper.add_representer(Decimal, _number)


def dumped(golden: Golden) -> str:
    """The file with today's answers."""
    cases = [{**case, "answer": answer(golden, case)} for case in golden.cases]
    text = yaml.dump({"cases": cases}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)
    lines = [[*line[:3], enum_answer(golden, line), *line[4:]] for line in golden.enums]
    enums = "".join(f"  - {_flow(line)}\n" for line in lines)
    return f"{HEAD}{text}" + (f"enums:\n{enums}" if enums else "")


def _flow(line: list[Any]) -> str:
    return yaml.dump(line, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10**6).strip()


if __name__ == "__main__":
    for each in list(read()):
        each.path.write_text(dumped(each), "utf-8")
