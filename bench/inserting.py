"""The yardstick of everything that writes: `insert_many` of documents that are there already."""

from __future__ import annotations

import time
from typing import Any

from pymongo.write_concern import WriteConcern

BATCH = 500


def insert_many(database: Any, tenant: str) -> float:
    """The resources of a tenant a second, into a collection of its own with the same indexes."""
    source = database.resources
    target = database.get_collection("bench_insert", write_concern=WriteConcern("majority", j=True))
    target.drop()
    for name, spec in source.index_information().items():
        if name != "_id_":
            target.create_index(spec["key"], name=name)
    documents = list(source.find({"t": tenant}))
    started = time.perf_counter()
    for first in range(0, len(documents), BATCH):
        target.insert_many(documents[first : first + BATCH], ordered=False)
    seconds = time.perf_counter() - started
    target.drop()
    return len(documents) / seconds
