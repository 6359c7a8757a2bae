"""The one place where filters on resources are made: tenant first, and what the caller may see inside the query.

A path that does not come through here does not exist; a test reads the source of this room to make sure.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fhir_server.access.caller import Caller
from fhir_server.access.concealment import shared, special, without
from fhir_server.access.restriction import Restriction, restriction
from fhir_server.access.right import Right
from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.outcome import FhirError
from fhir_server.search import apart, registry
from fhir_server.search.blinding import Blinding
from fhir_server.store.layout import SHOWN, Document, key, type_range, version_key


@dataclass(frozen=True, slots=True)
class Where:
    """Filters for one caller in one tenant."""

    tenant: str
    caller: Caller
    shown: Document = field(default_factory=lambda: SHOWN)
    """What is read of a document that is shown; its patients too where that is recorded."""
    blinding: Blinding | None = None

    guards: frozenset[str] = frozenset()
    """What of security labels and consents there is in the tenant."""

    def allowed(self, resource_type: str, right: Right) -> Restriction:
        """Raises 403 where the caller has no such right on the type at all."""
        return restriction(self.caller, resource_type, right, self.blinding, self.guards)

    def instance(self, resource_type: str, resource_id: str, right: Right) -> Document:
        """The current version of one resource; one the caller may not see is not found, like one that is not there."""
        found = {"_id": key(self.tenant, resource_type, resource_id)}
        return both(found, self.allowed(resource_type, right).filter)

    def superseded(self, resource_type: str, resource_id: str, version_id: str, right: Right) -> Document:
        """One earlier version, if the caller may see that version."""
        found = {"_id": version_key(key(self.tenant, resource_type, resource_id), version_id)}
        return both(found, self.allowed(resource_type, right).filter)

    def instances(self, keys: Iterable[tuple[str, str]], right: Right) -> Document:
        """The current versions of many resources, each under the restriction of its type."""
        grouped: dict[str, list[str]] = {}
        for resource_type, resource_id in keys:
            grouped.setdefault(resource_type, []).append(key(self.tenant, resource_type, resource_id))
        return _either(
            both({"_id": {"$in": ids}}, self.allowed(resource_type, right).filter)
            for resource_type, ids in grouped.items()
        )

    def living(
        self, types: Sequence[str], right: Right, criteria: Mapping[str, Any], ids: Sequence[str] | None = None
    ) -> Document:
        """Current resources that match search criteria, only of these ids if given; deletions are never found."""
        found = {"t": self.tenant, **self._of_types(types, right)}
        if apart.alone(types):
            criteria = apart.entering(criteria)
        if not _enters_tokens(criteria):
            found["del"] = False
        if ids is not None:
            keys = self._keys(self.permitted(types, right), ids)
            found["_id"] = keys[0] if len(keys) == 1 else {"$in": keys}
        return both(found, criteria)

    def kept(
        self, opened: Where, types: Sequence[str], right: Right, criteria: Mapping[str, Any], ids: Sequence[str] | None
    ) -> Document:
        """What `opened` would find and this does not."""
        here, there = (each.living(types, right, criteria, ids) for each in (self, opened))
        return {"t": self.tenant, "$and": [there, {"$nor": [here]}]}

    def _keys(self, types: Sequence[str], ids: Sequence[str]) -> list[str]:
        """An id with its type, or an id of any of the types."""
        typed = [each.split("/") for each in ids if "/" in each]
        found = [key(self.tenant, resource_type, each) for resource_type, each in typed if resource_type in types]
        return found + [
            key(self.tenant, resource_type, each) for resource_type in types for each in ids if "/" not in each
        ]

    def searched(
        self, types: Sequence[str], right: Right, criteria: Mapping[str, Any], ids: Sequence[str] | None = None
    ) -> Document:
        """As `living`, by what a search was read as: that must have happened with the words of this tenant."""
        if registry.blinding() != self.blinding:
            raise RuntimeError(f"a search in tenant '{self.tenant}' was read outside of registry.using(its own)")
        return self.living(types, right, criteria, ids)

    def keyed(self, resource_type: str, right: Right, criteria: Mapping[str, Any]) -> Document:
        """As `living`, of one type and looked for by key."""
        keys = {"_id": type_range(self.tenant, resource_type)}
        return both(keys, self.searched((resource_type,), right, criteria))

    def following(self, resource_type: str, after: str, right: Right, older_than: int | None = None) -> Document:
        """Current resources of a type in the order of their keys, those after one; all, or indexed before a version."""
        first = key(self.tenant, resource_type, "")
        found: Document = {"_id": {"$gt": max(after, first), "$lt": f"{first[:-1]}}}"}, "del": False}
        if older_than is not None:
            found["pv"] = {"$not": {"$gte": older_than}}
        return both(found, self.allowed(resource_type, right).filter)

    def versions(
        self, types: Sequence[str], right: Right, resource_id: str | None, times: Mapping[str, Any]
    ) -> Document:
        """Versions of one resource, a type or everything, deletions included, within an interval of `lu`."""
        found = {"t": self.tenant, **self._of_types(types, right)}
        return both(found, {"id": resource_id, **times} if resource_id else times)

    def record(self, patients: Iterable[str], types: Sequence[str], right: Right) -> Document:
        """What is in the compartments of these patients, deletions included, of types that can be."""
        return both({"t": self.tenant, **self._of_types(types, right)}, {"cmp": {"$in": list(patients)}})

    def numbered(self, versions: Iterable[tuple[str, str, int]], right: Right) -> Document:
        """Superseded versions by type, id and number."""
        grouped: dict[str, list[str]] = {}
        for resource_type, resource_id, number in versions:
            name = version_key(key(self.tenant, resource_type, resource_id), number)
            grouped.setdefault(resource_type, []).append(name)
        return _either(both({"_id": {"$in": ids}}, self.allowed(name, right).filter) for name, ids in grouped.items())

    def past(self, keys: Iterable[tuple[str, str]], right: Right) -> Document:
        """Every superseded version of these."""
        grouped: dict[str, list[str]] = {}
        for resource_type, resource_id in keys:
            grouped.setdefault(resource_type, []).append(resource_id)
        return _either(
            both({"t": self.tenant, "rt": name, "id": {"$in": ids}}, self.allowed(name, right).filter)
            for name, ids in grouped.items()
        )

    def permitted(self, types: Sequence[str], right: Right) -> list[str]:
        """Of the types asked for, or of all, those on which the caller has the right; 403 where there is none."""
        refusal: FhirError | None = None
        permitted = []
        for resource_type in types or sorted(resource_types()):
            try:
                self.allowed(resource_type, right)
            except FhirError as problem:
                refusal = problem
            else:
                permitted.append(resource_type)
        if refusal and ((types and len(permitted) < len(types)) or not permitted):
            raise refusal
        return permitted

    def _of_types(self, types: Sequence[str], right: Right) -> Document:
        """Types under the same restriction share one branch; mostly there is one branch only."""
        shares: list[tuple[Mapping[str, Any], list[str]]] = []
        for resource_type in self.permitted(types, right):
            own = self._special(resource_type, right)
            same = next((names for restriction, names in shares if restriction == own), None)
            if same is None:
                shares.append((own, [resource_type]))
            else:
                same.append(resource_type)
        found = _either(both({"rt": names[0] if len(names) == 1 else {"$in": names}}, own) for own, names in shares)
        return both(found, shared(self.caller, right, self.guards))

    def _special(self, resource_type: str, right: Right) -> Mapping[str, Any]:
        """What restricts one type, without what is hidden of all types alike."""
        hidden = special(self.caller, resource_type, right, self.guards)
        return without(restriction(self.caller, resource_type, right, self.blinding).filter, hidden)


def between(since: datetime | None, before: tuple[Any, ...] | None) -> Document:
    """Versions at or after `since`, and before the place (last updated, id, type) where the last page ended."""
    times: Document = {} if since is None else {"$gte": since}
    if before is None:
        return {"lu": times} if times else {}
    moment, resource_id, resource_type = before
    # What is excluded enters no index, as alternatives would, each on its own: the order of `lu` is kept.
    shown = [
        {"lu": moment, "id": {"$gt": resource_id}},
        {"lu": moment, "id": resource_id, "rt": {"$gte": resource_type}},
    ]
    return {"lu": {**times, "$lte": moment}, "$nor": shown}


def same(document: Document) -> Document:
    """The stored document of this key."""
    return {"_id": document["_id"]}


def still(document: Document) -> Document:
    """The current document, if it is still this version."""
    return {"_id": document["_id"], "v": document["v"]}


def unsigned(document: Document) -> Document:
    """The current document, if nobody has changed or signed it since: the guard of every replacement."""
    return {**still(document), "lock": document.get("lock")}


def sealed_by(tenant: str, key_ids: Iterable[str], after: str = "") -> Document:
    """What some keys of a tenant have sealed, of every type, after one: for the keeper of keys, who shows nothing."""
    return {"t": tenant, "k": {"$in": list(key_ids)}, "_id": {"$gt": after}}


def still_sealed(document: Document) -> Document:
    """The document, if it is still this version under this key."""
    return {**still(document), "k": document["k"]}


def _enters_tokens(criteria: Mapping[str, Any]) -> bool:
    """Deletions have no tokens: with one required, the index alone decides, and counting reads no documents."""
    wanted = criteria.get("tok", criteria.get(apart.FIELD))
    return isinstance(wanted, str) or (isinstance(wanted, Mapping) and wanted.keys() <= {"$in", "$all"})


def both(one: Mapping[str, Any], other: Mapping[str, Any]) -> Document:
    """Both filters hold; nothing of either is overwritten."""
    if all(other[name] == value for name, value in one.items() if name in other):
        return {**one, **other}
    return {"$and": [one, other]}


def _either(branches: Iterable[Document]) -> Document:
    listed = list(branches)
    return listed[0] if len(listed) == 1 else {"$or": listed}
