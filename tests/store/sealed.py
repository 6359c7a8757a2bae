"""A store whose tenants are encrypted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pymongo import AsyncMongoClient

from fhir_server.store.connection import Store, opened


@asynccontextmanager
async def sealed_store(mongo_url: str, folder: Path) -> AsyncIterator[Store]:
    """On the real MongoDB, in a database of its own."""
    file = folder / "kek"
    file.write_bytes(b"the key that wraps in this test.")
    file.chmod(0o600)
    database = f"test_{uuid4().hex}"
    async with opened(mongo_url=mongo_url, database=database, kek=f"file:{file}") as found:
        yield found
    async with AsyncMongoClient[Any](mongo_url, serverMonitoringMode="poll") as client:
        await client.drop_database(database)
