"""The HTTP parser that `serve` chooses: where a request ends is never a matter of opinion.

https://www.rfc-editor.org/rfc/rfc9112#section-6.1
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn

from fhir_server.cli.serve import _UVICORN

AMBIGUOUS = {
    "chunked and a length": "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "two lengths": "Content-Length: 6\r\nContent-Length: 5\r\n\r\n0\r\n\r\nG",
    "chunked, but not last": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
}


async def untouched(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("An ambiguous request reaches nobody.")


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_b52_a_request_with_two_ends_is_refused_and_the_connection_closed(sent: str) -> None:
    config = uvicorn.Config(untouched, port=0, lifespan="off", **_UVICORN)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=uvicorn.server.ServerState(), app_state={}),
        "127.0.0.1",
    )
    async with server, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(f"POST /fhir/t/Patient HTTP/1.1\r\nHost: x\r\n{sent}".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.lower().count(b"http/1.1") == 1
