"""Collections, keys and indexes: what is where in MongoDB. The tenant comes first in every key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.search import apart

AUDITED = apart.TYPE
"""Resources of this type have a collection of their own."""

Document = dict[str, Any]
Filter = Mapping[str, Any]

RESOURCES = "resources"
HISTORY = "history"
AUDIT = "audit"
"""The resources of the type `AUDITED`; documents are like those of all others, with `apart.FIELD`."""
AUDIT_CHAIN = "audit_chain"
"""What proves that they are whole: one entry for each version, each with the hash of the one before it."""
AUDIT_WRITERS = "audit_writers"
"""Who has a chain, and the signs of life of processes."""
AUDIT_CHECKPOINTS = "audit_checkpoints"
CLAIMS = "claims"
IDEMPOTENCY = "idempotency"
TENANTS = "tenants"
KEYS = "keys"
MIGRATIONS = "migrations"
MAPPINGS = "fhir_mappings"
SNAPSHOTS = "mapping_snapshots"
RUNS = "mapping_runs"
"""The last run of each source, and how far each of its tables has been read."""
LINEAGE = "mapping_lineage"
"""Which columns the elements of each output come from, by version of the mapping."""
FEATURES = "features"
"""Records of the server's features that are no resources: accounts, roles, keys, templates."""
CONCEPTS = "concepts"
CODE_SYSTEMS = "code_systems"
"""Which load of concepts is current of each code system."""
ENCRYPTION_KEYS = "encryption_keys"
"""What resources and other secrets are sealed with, each wrapped by another key."""
PACKAGES = "packages"
DEFINITIONS = "definitions"
JOBS = "jobs"
DEFERRED = "deferred"
CLIENTS = "clients"
HANDLES = "handles"
"""What is known by an unguessable word for a while: requests for authorization, codes, launches, used assertions."""
GRANTS = "grants"
REVOCATIONS = "revocations"
USERS = "users"
"""People who may sign in."""
SESSIONS = "sessions"
PROVIDERS = "providers"
"""Who else may say who a person of a tenant is."""
CERTIFICATES = "certificates"
"""Signed documents that say what was destroyed."""
ATTEMPTS = "attempts"
"""How often somebody tried to sign in without success."""
CONSENTS = "consents"
"""What consents forbid, in the form in which it is read at every request."""
BODIES = "bodies"
"""The GridFS bucket of bodies too large for their document."""

SHOWN = {"_id": 0, "body": 1, "file": 1, "rt": 1, "id": 1, "v": 1, "lu": 1, "m": 1}
"""What a `Version` is made of."""

RECORDED = {**SHOWN, "cmp": 1}
"""The same, and whose data it is."""

SUPERSEDED = {"res": 0, "txt": 0, "con": 0}
"""What a version keeps when it moves to the history: not the native form, the words and what it contains."""

_TYPE = [("t", 1), ("rt", 1)]
_SEALED = [("t", 1), ("k", 1), ("_id", 1)]
"""By the key that has sealed it."""

Keys = list[tuple[str, int]]
Indexes = Mapping[str, Sequence[tuple[str, int | str]]]

RESOURCE_INDEXES: Indexes = {
    "tok": [*_TYPE, ("tok", 1), ("d", -1), ("id", 1)],
    "cmp": [*_TYPE, ("cmp", 1), ("d", -1), ("id", 1)],
    "str": [*_TYPE, ("str", 1), ("id", 1)],
    "dat": [*_TYPE, ("dat.p", 1), ("dat.s", 1), ("dat.e", 1)],
    "num": [*_TYPE, ("num.p", 1), ("num.v", 1)],
    "order": [*_TYPE, ("d", -1), ("id", 1)],
    "lu": [*_TYPE, ("lu", 1), ("id", 1)],
    "geo": [*_TYPE, ("geo", "2dsphere")],
    "txt": [*_TYPE, ("txt", 1), ("d", -1), ("id", 1)],
    "con": [("t", 1), ("con.tok", 1), ("_id", 1)],
    "k": _SEALED,
}
"""Few generic multikey indexes instead of one per search parameter; a compound index may hold one array.

Only what has a point is in `geo`: https://www.mongodb.com/docs/manual/core/indexes/index-types/geospatial/2dsphere/
"""

AUDIT_INDEXES: Indexes = {
    apart.FIELD: [*_TYPE, (apart.FIELD, 1), ("d", -1), ("id", 1)],
    **{each: RESOURCE_INDEXES[each] for each in ("cmp", "order", "lu", "txt")},
}
"""One event is written for each request: every entry of an index costs each of them."""

PARTIAL: Mapping[str, Document] = {
    **{each: {each: {"$exists": True}} for each in ("txt", "con", "k", "grantee", "owner", "person")},
    "live": {"live": True},
    "upstream": {"upstream": {"$type": "string"}},
    "subject": {"feature": "retention"},
}
"""What an index is limited to: only what has words, contains something, is sealed or names somebody has an entry."""

HISTORY_INDEXES: Indexes = {
    "instance": [*_TYPE, ("id", 1), ("v", -1)],
    "lu": [*_TYPE, ("lu", 1), ("id", 1)],
    "k": _SEALED,
}

CHAIN_INDEXES: dict[str, Keys] = {"event": [("t", 1), ("at", 1), ("e", 1)]}
"""In the order of the index `lu` of events: two readings side by side show what is in one of them only."""
CONSENT_INDEXES: Indexes = {"number": [("t", 1), ("n", 1)]}
KEY_INDEXES: Indexes = {"kind": [("t", 1), ("kind", 1), ("state", 1), ("_id", 1)], "by": [("t", 1), ("by", 1)]}
"""The keys of a kind, and those that another wraps."""

WRITER_INDEXES: dict[str, Keys] = {"live": [("live", 1), ("t", 1)]}

JOB_INDEXES: dict[str, Keys] = {
    "state": [("state", 1), ("created", 1)],
}

_TABLE = [("tenant_id", 1), ("source_system", 1), ("source_table", 1)]

MAPPING_INDEXES: Indexes = {
    "row": [*_TABLE, ("source_pk", 1), ("output", 1)],
    "status": [*_TABLE, ("status", 1)],
    "resource": [("tenant_id", 1), ("resource_id", 1)],
}

CONCEPT_INDEXES: dict[str, Keys] = {
    "key": [("t", 1), ("load", 1), ("key", 1)],
    "anc": [("t", 1), ("load", 1), ("anc", 1)],
    "par": [("t", 1), ("load", 1), ("par", 1)],
}


_KIND: Keys = [("tenant_id", 1), ("feature", 1), ("kind", 1)]

FEATURE_INDEXES: Indexes = {"feature": [*_KIND, ("id", 1)]}
SHARE_INDEXES: Indexes = {each: [*_KIND, (each, 1)] for each in ("grantee", "owner", "person")}
"""By whom something is shared with."""
HOLD_INDEXES: Indexes = {"subject": [*_KIND, ("subject", 1)]}
"""What a legal hold, or a day until which a record is kept, is about."""
USER_INDEXES: dict[str, Keys] = {"user": [("tenant", 1), ("user_id", 1)]}
ACCOUNT_INDEXES: dict[str, Keys] = {"upstream": [("tenant", 1), ("upstream", 1)]}
"""An account elsewhere is that of one user."""
DEFINITION_INDEXES: dict[str, Keys] = {"url": [("t", 1), ("url", 1)], "load": [("t", 1), ("load", 1)]}


GRANT_INDEXES: dict[str, Keys] = {"user": [("t", 1), ("user", 1)], "client": [("t", 1), ("client", 1)]}
REVOCATION_INDEXES: dict[str, Keys] = {"at": [("at", 1)]}


def key(tenant: str, resource_type: str, resource_id: str) -> str:
    """The `_id` of a current document: id spaces of tenants and of types are disjoint."""
    return f"{tenant}|{resource_type}|{resource_id}"


def version_key(current: str, version_id: int | str) -> str:
    """The `_id` of a superseded version."""
    return f"{current}|{version_id}"


def type_range(tenant: str, resource_type: str) -> Filter:
    """Every key of one type of a tenant."""
    return {"$gte": f"{tenant}|{resource_type}|", "$lt": f"{tenant}|{resource_type}}}"}


def key_range(tenant: str) -> Filter:
    """Every key of a tenant: `|` follows the name, and `}` is the next character after `|`."""
    return {"$gte": f"{tenant}|", "$lt": f"{tenant}}}"}
