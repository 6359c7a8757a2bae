"""Keys of clients: sets with one key for each id, kept for a while, fetched with care.  RFC 7517, RFC 9111"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from fhir_server.auth import fetching
from fhir_server.auth.assertion import Assertions
from fhir_server.auth.client_keys import ClientKeys, read
from fhir_server.auth.fetching import Fetched, Fetching, Unfetched, max_age
from fhir_server.auth.jwt import InvalidToken
from fhir_server.store.connection import Store
from tests.auth.conftest import BASE, client
from tests.auth.site import JWKS, KEY, RSA, assertion

NEW = ECKey.generate_key("P-384", {"kid": "e2", "alg": "ES384", "use": "sig"})
PUBLISHED = "https://client.example/jwks"


def keys(*listed: Any) -> dict[str, Any]:
    return {"keys": [each if isinstance(each, dict) else each.as_dict(private=False) for each in listed]}


class Publisher:
    """Answers with a set, and counts how often it is asked."""

    def __init__(self, *listed: Any, max_age: float = 60.0) -> None:
        self.fetched = Fetched(keys(*listed), max_age)
        self.asked: list[str] = []

    async def __call__(self, url: str) -> Fetched:
        self.asked.append(url)
        return self.fetched


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_o36_two_keys_of_one_id_are_refused(house: Store) -> None:
    twin = RSAKey.import_key(RSA.as_dict(), {"kid": "e1"})
    with pytest.raises(InvalidToken, match="same 'kid'"):
        read(keys(KEY, twin))
    for wrong in ({}, {"keys": {}}, {"keys": None}):
        with pytest.raises(InvalidToken):
            read(wrong)


def test_o36_keys_that_cannot_sign_an_assertion_are_passed_over() -> None:
    public = KEY.as_dict(private=False)
    passed_over: list[Any] = [
        KEY.as_dict(private=True),
        {**public, "use": "enc"},
        {**public, "alg": "ES256"},
        {**public, "kty": "RSA"},
        {**public, "kid": 1},
        {name: value for name, value in public.items() if name != "kid"},
        {**public, "x": "AAAA"},
        {**public, "x": None},
        ECKey.generate_key("P-256", {"kid": "p256"}),
        {**RSA.as_dict(private=False), "n": str(RSA.as_dict(private=False)["n"])[:171]},
        OctKey.generate_key(256, {"kid": "oct"}).as_dict(),
        "key",
    ]
    listed = [each if isinstance(each, dict | str) else each.as_dict(private=False) for each in passed_over]
    assert list(read({"keys": listed})) == []
    assert list(read(JWKS)) == ["e1", "r1"]


async def test_o37_a_set_is_kept_as_long_as_it_says(house: Store) -> None:
    clock, publisher = Clock(), Publisher(KEY, max_age=60.0)
    known, registered = ClientKeys(publisher, clock), client(kind="key", jwks_uri=PUBLISHED)
    assert list(await known.of(registered, "e1")) == ["e1"]
    publisher.fetched = Fetched(keys(NEW), 60.0)
    assert list(await known.of(registered, "e1")) == ["e1"]
    assert len(publisher.asked) == 1
    clock.now += 6
    assert list(await known.of(registered, "e2")) == ["e2"], "an unknown key is looked for at once"
    publisher.fetched = Fetched(keys(KEY), 60.0)
    assert list(await known.of(registered, "e1")) == ["e2"], "but not again and again"
    clock.now += 61
    assert list(await known.of(registered, "e2")) == ["e1"], "the old one is refused when its time is over"
    assert set(publisher.asked) == {PUBLISHED}


async def test_o35_no_other_address_is_ever_asked(house: Store) -> None:
    await house.clients.add(client("publishing", kind="key", jwks_uri=PUBLISHED, grants=("client_credentials",)))
    publisher = Publisher(KEY)
    assertions = Assertions(house, ClientKeys(publisher), BASE)
    own = {"iss": "publishing", "sub": "publishing"}
    for other in (f"{PUBLISHED}/", "https://CLIENT.example/jwks", "http://169.254.169.254/", "https://evil.example"):
        with pytest.raises(InvalidToken, match="jku"):
            await assertions.client("acme", assertion(header={"jku": other}, **own))
    assert publisher.asked == []
    assert (await assertions.client("acme", assertion(header={"jku": PUBLISHED}, **own))).client_id == "publishing"
    assert publisher.asked == [PUBLISHED]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 60.0),
        ("max-age=10", 10.0),
        ("public, max-age=0", 0.0),
        ("Max-Age=100000", 300.0),
        ("no-store, max-age=50", 0.0),
        ("no-cache", 0.0),
        ("x-max-age=1", 60.0),
    ],
)
def test_o37_what_cache_control_says(said: str, seconds: float) -> None:
    assert max_age(said) == seconds


@asynccontextmanager
async def serving(answer: bytes, pause: float = 0.0) -> AsyncIterator[str]:
    """The address of a server that says one thing."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(pause)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode() + body


@pytest.fixture
def fetch() -> Callable[[str], Any]:
    return Fetching(frozenset({"127.0.0.1"}))


async def test_a_set_is_fetched(fetch: Callable[[str], Any]) -> None:
    async with serving(http(json.dumps(JWKS).encode(), "200 OK", "Cache-Control: max-age=7")) as url:
        fetched = await fetch(url)
    assert (fetched.document, fetched.max_age) == (JWKS, 7.0)


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (http(b"{}", "404 Not Found"), 0.0),
        (http(b"", "302 Found", "Location: http://127.0.0.1:1/"), 0.0),
        (http(b"not json"), 0.0),
        (http(b"[]"), 0.0),
        (http(b"[" * 60_000), 0.0),
        (http(b'{"x": "' + b"x" * 70_000 + b'"}'), 0.0),
        (b"garbage\r\n\r\n", 0.0),
        (http(b"{}"), 1.0),
    ],
    ids=["missing", "elsewhere", "text", "list", "deep", "long", "garbage", "slow"],
)
async def test_o38_a_bad_answer_is_none(
    fetch: Callable[[str], Any], answer: bytes, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.3)
    async with serving(answer, pause) as url:
        with pytest.raises(Unfetched):
            await fetch(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://client.example/jwks",
        "https://127.0.0.1/jwks",
        "https://[::1]/jwks",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/",
        "https://0x7f000001/",
        "https://localhost/jwks",
        "file:///etc/passwd",
        "https:///x",
        "https://x:y/",
    ],
)
async def test_o35_private_addresses_are_not_asked(url: str) -> None:
    with pytest.raises(Unfetched):
        await Fetching()(url)


async def test_what_cannot_be_fetched_makes_no_keys() -> None:
    known = ClientKeys(Fetching())
    with pytest.raises(InvalidToken):
        await known.of(client(kind="key", jwks_uri="https://127.0.0.1/"), "e1")
    with pytest.raises(InvalidToken):
        await known.of(client(kind="key"), "e1")
