"""Key sets that clients publish: fetched with care, because a client says from where.  RFC 7517, RFC 9700 §4.11"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

LONGEST_BYTES = 65_536
SECONDS = 3.0
MAX_AGE = 300.0
"""Seconds for which a set is kept at most, whatever its Cache-Control says; 60 where that says nothing."""
UNSAID = 60.0

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})")
_NEVER = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:[\s,]|$)")


class Unfetched(Exception):
    """A key set that cannot be had; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Fetched:
    document: Mapping[str, Any]
    max_age: float


class Fetching:
    """By HTTPS from public addresses; the hosts of `internal` may be at private ones and speak plain HTTP."""

    def __init__(self, internal: frozenset[str] = frozenset()) -> None:
        self._internal = internal

    async def __call__(self, url: str) -> Fetched:
        try:
            async with asyncio.timeout(SECONDS):
                return await self._fetched(url)
        except (TimeoutError, httpx.HTTPError, OSError, ValueError, RecursionError) as problem:
            raise Unfetched(f"{type(problem).__name__}: the key set cannot be fetched") from problem

    async def _fetched(self, url: str) -> Fetched:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and host in self._internal):
            raise Unfetched("the address of the key set is not https")
        address = await self._address(host, parts.port or {"https": 443, "http": 80}[parts.scheme])
        async with (
            httpx.AsyncClient(follow_redirects=False, timeout=SECONDS, trust_env=False) as client,
            # What was looked up is what is connected to: a second look-up could answer otherwise.
            client.stream(
                "GET",
                httpx.URL(url).copy_with(host=address),
                headers={"Host": parts.netloc.rpartition("@")[2], "Accept": "application/json"},
                extensions={"sni_hostname": host},
            ) as response,
        ):
            if response.status_code != 200:
                raise Unfetched(f"the key set is answered with status {response.status_code}")
            body = await _limited(response)
            return Fetched(_object(body), max_age(response.headers.get("cache-control", "")))

    async def _address(self, host: str, port: int) -> str:
        """One of the host, if all of them are public."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        if host not in self._internal and not all(_is_public(each) for each in addresses):
            raise Unfetched("the address of the key set is not public")
        return addresses[0]


def _is_public(address: str) -> bool:
    parsed = ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_global and not parsed.is_multicast


async def _limited(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LONGEST_BYTES:
            raise Unfetched(f"the key set is longer than {LONGEST_BYTES} bytes")
    return body


def _object(body: bytes) -> Mapping[str, Any]:
    document = json.loads(body)
    if not isinstance(document, dict):
        raise Unfetched("the key set is not a JSON object")
    return document


def max_age(cache_control: str) -> float:
    """RFC 9111 §5.2.2"""
    said = _MAX_AGE.search(cache_control.lower())
    if _NEVER.search(cache_control.lower()):
        return 0.0
    return min(MAX_AGE, float(said[1])) if said else UNSAID
