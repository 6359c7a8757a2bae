"""Bodies within bounds of size and time."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fhir_server.fhir.outcome import FhirError
from fhir_server.rest.body import BodyLimits, ClientGone, read

LIMITS = BodyLimits(max_bytes=10_000, grace_seconds=0.2, bytes_per_second=1_000_000)


def chunks(*parts: bytes, pause: float = 0.0) -> Callable[[], Awaitable[dict[str, Any]]]:
    left = list(parts)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    return receive


async def refusal(receive: Callable[[], Awaitable[dict[str, Any]]], **headers: str) -> tuple[int, str]:
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    with pytest.raises(FhirError) as refused:
        await read(receive, given, LIMITS)
    return refused.value.status, refused.value.issues[0].code


async def never() -> dict[str, Any]:
    raise AssertionError("the body was read")


async def endless() -> dict[str, Any]:
    return {"type": "http.request", "body": b"x" * 999, "more_body": True}


async def test_a_body_is_put_together() -> None:
    assert await read(chunks(b"a", b"", b"bc"), {}, LIMITS) == b"abc"
    assert await read(chunks(b""), {}, LIMITS) == b""


async def test_an_honest_length_beyond_the_limit_is_refused_before_reading() -> None:
    assert await refusal(never, content_length="10001") == (413, "too-long")


async def test_a_length_that_lies_or_is_missing_is_counted() -> None:
    assert await refusal(endless, content_length="5") == (413, "too-long")
    assert await refusal(endless) == (413, "too-long")


async def test_a_length_that_is_no_number_is_refused() -> None:
    assert await refusal(never, content_length="-1") == (400, "invalid")


async def test_a_body_that_arrives_too_slowly_is_given_up() -> None:
    assert await refusal(chunks(*[b"x"] * 100, pause=0.01)) == (408, "timeout")


async def test_a_client_that_hangs_up_is_told_apart() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGone):
        await read(receive, {}, LIMITS)


async def test_gzip_is_inflated_however_it_is_cut() -> None:
    packed = gzip.compress(b"hello " * 1000)
    parts = [packed[at : at + 7] for at in range(0, len(packed), 7)]
    assert await read(chunks(*parts), {b"content-encoding": b"GZIP"}, LIMITS) == b"hello " * 1000


@pytest.mark.parametrize("size", [10_000, 10_001, 50_000_000])
async def test_inflating_stops_at_the_limit(size: int) -> None:
    packed = gzip.compress(bytes(size))
    if size == LIMITS.max_bytes:
        assert len(await read(chunks(packed), {b"content-encoding": b"gzip"}, LIMITS)) == size
    else:
        assert await refusal(chunks(packed), content_encoding="gzip") == (413, "too-long")


async def test_broken_gzip_is_refused() -> None:
    packed = gzip.compress(b"hello")
    assert await refusal(chunks(b"{}"), content_encoding="gzip") == (400, "structure")
    assert await refusal(chunks(packed[:-4]), content_encoding="gzip") == (400, "structure")
    assert await refusal(chunks(packed + b"x"), content_encoding="gzip") == (400, "structure")


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip"])
async def test_other_codings_are_not_supported(coding: str) -> None:
    assert await refusal(never, content_encoding=coding) == (415, "not-supported")
