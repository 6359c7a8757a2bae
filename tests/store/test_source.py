"""Rules of this room that a test can read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fhir_server.store

ROOM = Path(fhir_server.store.__file__).parent
QUERIES = frozenset(
    {
        "find",
        "find_one",
        "aggregate",
        "count_documents",
        "replace_one",
        "update_one",
        "update_many",
        "delete_one",
        "delete_many",
        "find_one_and_update",
        "ReplaceOne",
        "UpdateOne",
    }
)
OF_RESOURCES = frozenset({"resources", "plain", "history"})
OTHER = frozenset(
    [
        "anchor",
        "attempts",
        "bodies",
        "certificates",
        "chains",
        "checkpoints",
        "claims",
        "clients",
        "concepts",
        "consents",
        "deferred",
        "features",
        "grants",
        "handles",
        "holds",
        "idempotency",
        "jobs",
        "journal",
        "keeping",
        "key_versions",
        "keys",
        "lineage",
        "mapping_runs",
        "mappings",
        "packages",
        "parameters",
        "processes",
        "revocations",
        "rows",
        "rules",
        "sessions",
        "tenants",
        "upstream",
        "users",
        "vault",
    ]
)
"""Modules of other collections: their keys start with the tenant, or they belong to the operator."""

THE_RECORD = frozenset({"recorded", "recovery"})
"""Read what is recorded of a tenant, whole, and show nothing of it to any caller."""

SPEAKS_TO_NONE = frozenset({"where", "memory", "mongod", "migrations"})

modules = sorted(ROOM.glob("*.py"))


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


@pytest.mark.parametrize(
    "module",
    [each for each in modules if each.stem not in OTHER | SPEAKS_TO_NONE | THE_RECORD],
    ids=lambda path: path.stem,
)
def test_filters_on_resources_are_made_in_where(module: Path) -> None:
    """A query with a filter written on the spot would be one without tenant and restriction."""
    for call in calls(ast.parse(module.read_text())):
        if name_of(call) in QUERIES and call.args and not _of_migrations(call):
            assert not any(isinstance(node, ast.Dict | ast.DictComp) for node in ast.walk(call.args[0])), (
                f"{module.name}:{call.lineno}: the filter of {name_of(call)} is written by hand; "
                "a method of Where makes filters, so that each holds the tenant and what the caller may see"
            )


def _of_migrations(call: ast.Call) -> bool:
    """Queries on collections that belong to the operator, and erasing by key."""
    return "migrations" in ast.unparse(call.func) or "key_range(" in ast.unparse(call)


@pytest.mark.parametrize("module", [each for each in modules if each.stem in OTHER], ids=lambda path: path.stem)
def test_the_modules_of_other_collections_do_not_touch_resources(module: Path) -> None:
    attributes = {node.attr for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Attribute)}
    assert not attributes & OF_RESOURCES


def test_every_filter_of_where_holds_the_tenant() -> None:
    """Either `t` or a key, which starts with it; `still` and `same` are about a document that was found so."""
    tree = ast.parse((ROOM / "where.py").read_text())
    where = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Where")
    makers = [node for node in where.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    for maker in makers:
        if maker.name in ("allowed", "permitted"):
            continue
        assert "self.tenant" in ast.unparse(maker), f"Where.{maker.name} makes a filter without the tenant"
        assert "right" in ast.unparse(maker), f"Where.{maker.name} makes a filter without a restriction"


def test_only_this_room_knows_the_driver() -> None:
    drivers = ("pymongo", "bson", "gridfs", "mongomock")
    server = ROOM.parent
    for module in server.rglob("*.py"):
        if ROOM in module.parents:
            continue
        imported = [
            name
            for node in ast.walk(ast.parse(module.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        ]
        assert not [name for name in imported if name.split(".")[0] in drivers], module
