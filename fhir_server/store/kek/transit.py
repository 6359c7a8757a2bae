"""The transit engine of HashiCorp Vault and of OpenBao.  https://developer.hashicorp.com/vault/api-docs/secret/transit

Who calls is said as for every client of it: VAULT_TOKEN or ~/.vault-token, VAULT_NAMESPACE, VAULT_CACERT. A key that
was made with `derived=true` is a different one for every context; the context is checked here whether or not it was.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from hvac import Client
from hvac.exceptions import InvalidRequest, VaultError
from requests import RequestException

from fhir_server.store.errors import StoreError
from fhir_server.store.kek.service import CONNECT, READ, Context, Service, bound, unbound

BROKEN = ("message authentication failed", "invalid ciphertext", "unable to decrypt")
"""What the service says of a ciphertext that is none of this key and context."""
LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


class VaultKek:
    """`place` is the address with the path of the engine and the name of the key: `https://vault:8200/transit/fhir`."""

    def __init__(self, place: str) -> None:
        self.name = f"vault:{place}"
        self._url, self._mount, self._key = _parts(place)
        self._service = Service(self.name, (VaultError, RequestException), _is_broken)

    async def wrap(self, plaintext: bytes, context: Context) -> bytes:
        given = {"plaintext": _text(bound(plaintext, context)), "context": _derivation(context)}
        return str((await self._asked("encrypt_data", given))["ciphertext"]).encode()

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        given = {"ciphertext": wrapped.decode("ascii", "replace"), "context": _derivation(context)}
        return unbound(b64decode((await self._asked("decrypt_data", given))["plaintext"]), context)

    async def rewrap(self, wrapped: bytes, context: Context) -> bytes:
        """Under the newest version of the key; the service does it, and the plaintext does not leave it."""
        given = {"ciphertext": wrapped.decode("ascii", "replace"), "context": _derivation(context)}
        return str((await self._asked("rewrap_data", given))["ciphertext"]).encode()

    async def _asked(self, operation: str, given: dict[str, str]) -> dict[str, Any]:
        """A client for each call: a token that an agent has renewed meanwhile is read, and threads share nothing."""

        def call() -> dict[str, Any]:
            client = Client(url=self._url, timeout=(CONNECT, READ), allow_redirects=False)
            try:
                asked: Callable[..., dict[str, Any]] = getattr(client.secrets.transit, operation)
                return dict(asked(name=self._key, mount_point=self._mount, **given)["data"])
            finally:
                client.adapter.close()

        return await self._service.ask(call)


def _parts(place: str) -> tuple[str, str, str]:
    """Address, path of the engine, name of the key."""
    split = urlsplit(place)
    mount, _, key = split.path.strip("/").rpartition("/")
    secure = split.scheme == "https" or (split.scheme == "http" and split.hostname in LOCAL)
    if not (secure and split.hostname and mount and key):
        raise StoreError(
            f"'vault:{place}' names no key of a transit engine: 'vault:https://vault.example.org:8200/transit/fhir' "
            "would; http is for an agent on this machine only."
        )
    return f"{split.scheme}://{split.netloc}", mount, key


def _derivation(context: Context) -> str:
    return _text(bound(b"", context))


def _text(octets: bytes) -> str:
    return b64encode(octets).decode()


def _is_broken(problem: Exception) -> bool:
    return isinstance(problem, InvalidRequest) and any(each in str(problem) for each in BROKEN)
