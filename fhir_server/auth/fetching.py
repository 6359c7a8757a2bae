"""What clients and identity providers publish: fetched with care, because they say from where.

RFC 7517, RFC 9700 §4.11, OpenID Connect Discovery §7.2
"""

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
    """A document that cannot be had; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Fetched:
    document: Mapping[str, Any]
    max_age: float


class Fetching:
    """By HTTPS from public addresses; the hosts of `internal` may be at private ones and speak plain HTTP."""

    def __init__(
        self, internal: frozenset[str] = frozenset(), transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._internal = internal
        self._transport = transport

    async def __call__(self, url: str) -> Fetched:
        return await self._answer("GET", url, {}, None)

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Fetched:
        """The answer to a form: it may hold secrets, and is sent nowhere else than where it is meant for."""
        return await self._answer("POST", url, headers, form)

    def permits(self, url: str) -> bool:
        """Whether an address is one of HTTPS, or of a host that is known to be ours."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme == "https" or (parts.scheme == "http" and host in self._internal)

    async def _answer(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> Fetched:
        try:
            async with asyncio.timeout(SECONDS):
                return await self._fetched(method, url, headers, form)
        except (TimeoutError, httpx.HTTPError, OSError, ValueError, RecursionError) as problem:
            raise Unfetched(f"{type(problem).__name__}: the document cannot be fetched") from problem

    async def _fetched(
        self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> Fetched:
        if not self.permits(url):
            raise Unfetched("the address of the document is not https")
        parts = urlsplit(url)
        host = parts.hostname or ""
        address = await self._address(host, parts.port or {"https": 443, "http": 80}[parts.scheme])
        async with (
            httpx.AsyncClient(
                follow_redirects=False, timeout=SECONDS, trust_env=False, transport=self._transport
            ) as client,
            # What was looked up is what is connected to: a second look-up could answer otherwise.
            client.stream(
                method,
                httpx.URL(url).copy_with(host=address),
                data=form,
                headers={"Host": parts.netloc.rpartition("@")[2], "Accept": "application/json", **headers},
                extensions={"sni_hostname": host},
            ) as response,
        ):
            if response.status_code != 200:
                raise Unfetched(f"the document is answered with status {response.status_code}")
            body = await _limited(response)
            return Fetched(_object(body), max_age(response.headers.get("cache-control", "")))

    async def _address(self, host: str, port: int) -> str:
        """One of the host, if all of them are public."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        if host not in self._internal and not all(_is_public(each) for each in addresses):
            raise Unfetched("the address of the document is not public")
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
            raise Unfetched(f"the document is longer than {LONGEST_BYTES} bytes")
    return body


def _object(body: bytes) -> Mapping[str, Any]:
    document = json.loads(body)
    if not isinstance(document, dict):
        raise Unfetched("the document is not a JSON object")
    return document


def max_age(cache_control: str) -> float:
    """RFC 9111 §5.2.2"""
    said = _MAX_AGE.search(cache_control.lower())
    if _NEVER.search(cache_control.lower()):
        return 0.0
    return min(MAX_AGE, float(said[1])) if said else UNSAID
