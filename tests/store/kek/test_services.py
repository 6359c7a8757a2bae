"""The key services of others, by their own libraries over HTTP: bound to a context, and bounded in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from fhir_server.store.errors import StoreError
from fhir_server.store.kek.aws import AwsKek
from fhir_server.store.kek.azure import AzureKek
from fhir_server.store.kek.port import KekError
from fhir_server.store.kek.service import SECONDS
from fhir_server.store.kek.transit import VaultKek
from tests.store.kek.services import ARN, KINDS, Services, running

KEY = b"k" * 32
ACME = {"tenant": "acme"}


@pytest.fixture
def services() -> Iterator[Services]:
    with running() as found:
        yield found


@pytest.fixture(params=KINDS)
def kek(request: pytest.FixtureRequest, services: Services, monkeypatch: pytest.MonkeyPatch) -> Any:
    return KINDS[request.param](services, monkeypatch.setenv)


async def test_what_is_wrapped_for_one_is_unwrapped_for_no_other(kek: Any) -> None:
    wrapped = await kek.wrap(KEY, ACME)
    assert KEY not in wrapped
    assert await kek.unwrap(wrapped, ACME) == KEY
    for context in ({"tenant": "other"}, {}, {**ACME, "patient": "p1"}):
        with pytest.raises(KekError, match="for something else"):
            await kek.unwrap(wrapped, context)
    for broken in (wrapped[:-4], wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"", b"vault:v1:AAAA"):
        with pytest.raises(KekError, match="for something else"):
            await kek.unwrap(broken, ACME)


async def test_a_new_version_of_the_key_opens_what_the_old_one_has_wrapped(kek: Any, services: Services) -> None:
    old = await kek.wrap(KEY, ACME)
    services.rotate()
    assert await kek.unwrap(old, ACME) == KEY
    new = await kek.rewrap(old, ACME)
    assert await kek.unwrap(new, ACME) == KEY
    services.versions[0] = b"forgotten" * 4
    services.pairs.pop("v1")
    assert await kek.unwrap(new, ACME) == KEY
    with pytest.raises(KekError, match="for something else"):
        await kek.unwrap(old, ACME)


@pytest.mark.parametrize("fault", ["denied", "throttled", "down"])
async def test_e09_a_service_that_refuses_is_told_at_once(kek: Any, services: Services, fault: str) -> None:
    wrapped = await kek.wrap(KEY, ACME)
    services.fault = fault
    began = monotonic()
    with pytest.raises(KekError, match="refuses or cannot be reached") as refused:
        await kek.unwrap(wrapped, ACME)
    assert monotonic() - began < SECONDS
    assert "root" not in str(refused.value)
    services.fault = ""
    assert await kek.unwrap(wrapped, ACME) == KEY


async def test_e09_a_service_that_hangs_is_given_up_in_time(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    keks = [make(services, monkeypatch.setenv) for make in KINDS.values()]
    wrapped = [await each.wrap(KEY, ACME) for each in keks]
    services.fault = "hang"
    began = monotonic()
    asked = [each.unwrap(one, ACME) for _ in range(5) for each, one in zip(keks, wrapped, strict=True)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert monotonic() - began < SECONDS + 1
    assert [type(each) for each in answers] == [KekError] * 15


async def test_the_tenant_stands_in_the_log_of_the_service(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    await KINDS["aws"](services, monkeypatch.setenv).wrap(KEY, ACME)
    assert services.seen[-1][0] == "Encrypt"
    assert (services.seen[-1][1]["KeyId"], services.seen[-1][1]["EncryptionContext"]) == (ARN, ACME)


@pytest.mark.parametrize("place", ["", "https://vault", "https://vault/fhir", "http://vault/transit/fhir", "vault/t/k"])
def test_an_address_that_names_no_key_is_refused(place: str) -> None:
    with pytest.raises(StoreError, match="names no key of a transit engine"):
        VaultKek(place)


@pytest.mark.parametrize(
    "key", ["", "http://p.vault.azure.net/keys/k", "https://p.vault.azure.net/keys/k/v1", "https://p/secrets/k"]
)
def test_an_azure_key_is_named_without_its_version(key: str) -> None:
    with pytest.raises(StoreError, match="without a version"):
        AzureKek(key)


def test_a_region_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(StoreError, match="region"):
        AwsKek("alias/fhir")
