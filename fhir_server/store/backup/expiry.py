"""What MongoDB removes by itself, and so may be gone before a restored store is compared with its backup.
https://www.mongodb.com/docs/manual/core/index-ttl/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bson.raw_bson import RawBSONDocument

from fhir_server.store.backup.sources import Source
from fhir_server.store.codec import OPTIONS

MARGIN = timedelta(hours=1)
"""What has less than this to live is not restored: it was made for the moment of the backup."""


class Rule(NamedTuple):
    field: str
    after: timedelta


async def rules(sources: Iterable[Source]) -> dict[tuple[str, str], Rule]:
    """By place and collection; most have none."""
    found = {}
    for source in sources:
        indexes = await source.collection.with_options(codec_options=OPTIONS).index_information()
        for each in indexes.values():
            if "expireAfterSeconds" in each:
                after = timedelta(seconds=each["expireAfterSeconds"])
                found[source.place, source.name] = Rule(each["key"][0][0], after)
    return found


def lasting(documents: Iterable[bytes], rule: Rule | None, horizon: datetime) -> Iterator[bytes]:
    """Those that are there beyond the horizon."""
    for document in documents:
        moment = RawBSONDocument(document).get(rule.field) if rule else None
        if rule is None or not isinstance(moment, datetime) or moment.replace(tzinfo=UTC) + rule.after > horizon:
            yield document
