"""AWS Key Management Service: the context is authenticated by the service and stands in its own log.

https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
Who calls is said as for every AWS client: by the environment, a profile, or the role of the machine.
"""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fhir_server.store.errors import StoreError
from fhir_server.store.kek.service import CONNECT, READ, Context, Service

BROKEN = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
PATIENCE = Config(connect_timeout=CONNECT, read_timeout=READ, retries={"total_max_attempts": 2, "mode": "standard"})


class AwsKek:
    """`key` is an ARN, an id or an alias: `arn:aws:kms:eu-central-1:111122223333:key/…`, `alias/fhir`."""

    def __init__(self, key: str) -> None:
        self.name = f"aws:{key}"
        self._key = key
        self._service = Service(self.name, (BotoCoreError, ClientError), _is_broken)
        try:
            self._client: Any = boto3.client("kms", config=PATIENCE, region_name=_region(key))
        except BotoCoreError as problem:
            raise StoreError(f"The key service '{self.name}' cannot be used: {problem}") from problem

    async def wrap(self, plaintext: bytes, context: Context) -> bytes:
        given = {"KeyId": self._key, "Plaintext": plaintext, "EncryptionContext": dict(context)}
        answer = await self._service.ask(lambda: self._client.encrypt(**given))
        return bytes(answer["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        given = {"KeyId": self._key, "CiphertextBlob": wrapped, "EncryptionContext": dict(context)}
        answer = await self._service.ask(lambda: self._client.decrypt(**given))
        return bytes(answer["Plaintext"])

    async def rewrap(self, wrapped: bytes, context: Context) -> bytes:
        """Under the newest material of the key; the service does it, and the plaintext does not leave it."""
        same = dict(context)
        given = {
            "CiphertextBlob": wrapped,
            "SourceEncryptionContext": same,
            "DestinationKeyId": self._key,
            "DestinationEncryptionContext": same,
        }
        answer = await self._service.ask(lambda: self._client.re_encrypt(**given))
        return bytes(answer["CiphertextBlob"])


def _region(key: str) -> str | None:
    """That of an ARN; else AWS_REGION or a profile says it."""
    parts = key.split(":")
    return parts[3] if key.startswith("arn:") and len(parts) > 5 else None


def _is_broken(problem: Exception) -> bool:
    return isinstance(problem, ClientError) and problem.response["Error"]["Code"] in BROKEN
