"""The yardstick: a raw ASGI application that does the one MongoDB call and returns the same bytes, and nothing else."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.write_concern import WriteConcern

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

HEADERS = [(b"content-type", b"application/fhir+json")]


class Bare:
    def __init__(self, mongo_url: str, database: str) -> None:
        self.client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongo_url, w="majority", journal=True)
        self.resources = self.client[database].resources
        self.created = self.client[database].bench_created.with_options(write_concern=WriteConcern("majority", j=True))

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        kind, _, rest = scope["path"].lstrip("/").partition("/")
        body = await getattr(self, kind)(rest, scope["query_string"].decode(), receive)
        headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def read(self, document_id: str, _query: str, _receive: Receive) -> bytes:
        found = await self.resources.find_one({"_id": document_id}, {"body": 1, "v": 1, "lu": 1})
        assert found is not None
        return bytes(found["body"])

    async def search(self, _rest: str, query: str, _receive: Receive) -> bytes:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        cursor = self.resources.find(
            {"t": "bench", "rt": asked["rt"], "tok": {"$all": asked["tok"].split(",")}, "del": False}, {"body": 1}
        )
        found = await cursor.sort([("d", -1), ("id", 1)]).hint("tok").limit(50).to_list()
        return b"[" + b",".join(bytes(each["body"]) for each in found) + b"]"

    async def create(self, _rest: str, _query: str, receive: Receive) -> bytes:
        body = (await receive())["body"]
        await self.created.insert_one({"_id": ObjectId(), "body": body})
        return bytes(body)


async def serve(port: int, mongo_url: str, database: str) -> None:
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    config = uvicorn.Config(
        Bare(mongo_url, database),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="error",
        access_log=False,
    )
    await uvicorn.Server(config).serve()


def main() -> None:
    import uvloop

    uvloop.run(serve(int(os.environ["BENCH_PORT"]), os.environ["BENCH_MONGO_URL"], os.environ["BENCH_DATABASE"]))


if __name__ == "__main__":
    main()
