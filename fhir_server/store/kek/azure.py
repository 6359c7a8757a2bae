"""Azure Key Vault: keys are wrapped with RSA-OAEP-256, whose private half does not leave the service.

https://learn.microsoft.com/en-us/azure/key-vault/keys/about-keys-details
The service does not bind a context, so that is done here. Who calls is said as for every Azure client: by the
environment or the identity of the machine; it needs the permissions get, wrapKey and unwrapKey.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm

from fhir_server.store.errors import StoreError
from fhir_server.store.kek.port import KekError
from fhir_server.store.kek.service import BROKEN, CONNECT, READ, Context, Service, bound, unbound

ALGORITHM = KeyWrapAlgorithm.rsa_oaep_256
PATIENCE: dict[str, Any] = {"connection_timeout": CONNECT, "read_timeout": READ, "retry_total": 0}
VERSION_BYTES = 2


class AzureKek:
    """`key` is the address of a key without its version: `https://practice.vault.azure.net/keys/fhir`."""

    def __init__(self, key: str, *, credential: TokenCredential | None = None) -> None:
        self.name = f"azure:{key}"
        self._key = _checked(key)
        self._credential = credential or DefaultAzureCredential()
        self._service = Service(self.name, (AzureError, ValueError), _is_broken)

    async def wrap(self, plaintext: bytes, context: Context) -> bytes:
        """With the newest version of the key, whose name goes before what it has wrapped."""

        def call() -> bytes:
            with self._client(self._key) as client:
                result = client.wrap_key(ALGORITHM, bound(plaintext, context))
                version = str(result.key_id).removeprefix(f"{self._key}/").encode()
                return len(version).to_bytes(VERSION_BYTES, "big") + version + result.encrypted_key

        return await self._service.ask(call)

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        end = VERSION_BYTES + int.from_bytes(wrapped[:VERSION_BYTES], "big")
        version = wrapped[VERSION_BYTES:end].decode("ascii", "replace")
        if not version.isalnum():
            raise KekError(BROKEN)

        def call() -> bytes:
            with self._client(f"{self._key}/{version}") as client:
                return bytes(client.unwrap_key(ALGORITHM, wrapped[end:]).key)

        return unbound(await self._service.ask(call), context)

    async def rewrap(self, wrapped: bytes, context: Context) -> bytes:
        return await self.wrap(await self.unwrap(wrapped, context), context)

    def _client(self, key: str) -> CryptographyClient:
        """A new one for each call: it would keep to the version that was the newest at its first."""
        return CryptographyClient(key, self._credential, **PATIENCE)


def _checked(key: str) -> str:
    split = urlsplit(key)
    if split.scheme != "https" or split.path.strip("/").count("/") != 1 or not split.path.startswith("/keys/"):
        raise StoreError(
            f"'azure:{key}' names no key: 'azure:https://practice.vault.azure.net/keys/fhir' would, without a version."
        )
    return key.rstrip("/")


def _is_broken(problem: Exception) -> bool:
    """400 is what the service answers to what it cannot unwrap; 404 to a version that there is not."""
    return isinstance(problem, HttpResponseError) and problem.status_code in (400, 404)
