"""Small key services on this machine that speak what Vault, AWS and Azure speak, with real cryptography behind it.

The libraries talk HTTP to them as they would to the real ones. Each has versions of one key, and can be made to hang,
to deny, to throttle and to fail.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_bytes
from threading import Event, Thread
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.keys.crypto import CryptographyClient
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fhir_server.crypto.aead import SealBroken, seal, unseal
from fhir_server.store.kek.aws import AwsKek
from fhir_server.store.kek.azure import PATIENCE, AzureKek
from fhir_server.store.kek.transit import VaultKek

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
AZURE = "https://practice.vault.azure.net"
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
CHALLENGE = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
OPERATIONS = ["wrapKey", "unwrapKey"]

Answer = tuple[int, dict[str, Any]]


class Services:
    """The state of all three: `fault` is hang, denied, throttled or down; `seen` is what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.fault = ""
        self.over = Event()
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.versions = [token_bytes(32)]
        self.pairs = {"v1": rsa.generate_private_key(public_exponent=65537, key_size=2048)}

    def rotate(self) -> None:
        self.versions.append(token_bytes(32))
        name = f"v{len(self.pairs) + 1}"
        self.pairs[name] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def close(self, text: bytes, context: bytes, given: int | None = None) -> str:
        number = given or len(self.versions)
        return f"v{number}:{b64encode(seal(self._derived(number, context), text, context)).decode()}"

    def open(self, text: str, context: bytes) -> bytes:
        number, _, sealed = text.removeprefix("v").partition(":")
        return unseal(self._derived(int(number), context), b64decode(sealed), context)

    def _derived(self, number: int, context: bytes) -> bytes:
        return sha256(self.versions[number - 1] + context).digest()


def _vault(state: Services, path: str, given: dict[str, Any], token: str | None) -> Answer:
    if state.fault in VAULT_FAULTS or token != "root":
        return VAULT_FAULTS[state.fault or "denied"]
    operation, _, _ = path.removeprefix("/v1/transit/").partition("/")
    context = b64decode(given["context"])
    try:
        opened = b64decode(given["plaintext"]) if operation == "encrypt" else _opened(state, given, context)
    except (SealBroken, ValueError):
        return 400, {"errors": ["cipher: message authentication failed"]}
    if operation == "decrypt":
        return 200, {"data": {"plaintext": b64encode(opened).decode()}}
    return 200, {"data": {"ciphertext": f"vault:{state.close(opened, context)}"}}


def _opened(state: Services, given: dict[str, Any], context: bytes) -> bytes:
    return state.open(given["ciphertext"].removeprefix("vault:"), context)


VAULT_FAULTS: dict[str, Answer] = {
    "denied": (403, {"errors": ["permission denied"]}),
    "throttled": (429, {"errors": ["request rate limit exceeded"]}),
    "down": (503, {"errors": ["Vault is sealed"]}),
}


def _aws(state: Services, operation: str, given: dict[str, Any]) -> Answer:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html"""
    if state.fault in AWS_FAULTS:
        return AWS_FAULTS[state.fault]
    try:
        return 200, {"KeyId": ARN, **AWS_OPERATIONS[operation](state, given)}
    except (SealBroken, ValueError):
        return 400, {"__type": "InvalidCiphertextException"}


def _context(given: dict[str, Any], name: str = "EncryptionContext") -> bytes:
    return json.dumps(given[name], sort_keys=True).encode()


def _aws_encrypt(state: Services, given: dict[str, Any]) -> dict[str, Any]:
    return {"CiphertextBlob": _blob(state.close(b64decode(given["Plaintext"]), _context(given)))}


def _aws_decrypt(state: Services, given: dict[str, Any]) -> dict[str, Any]:
    opened = state.open(b64decode(given["CiphertextBlob"]).decode(), _context(given))
    return {"Plaintext": b64encode(opened).decode()}


def _aws_re_encrypt(state: Services, given: dict[str, Any]) -> dict[str, Any]:
    opened = state.open(b64decode(given["CiphertextBlob"]).decode(), _context(given, "SourceEncryptionContext"))
    return {"CiphertextBlob": _blob(state.close(opened, _context(given, "DestinationEncryptionContext")))}


def _blob(text: str) -> str:
    return b64encode(text.encode()).decode()


AWS_OPERATIONS: dict[str, Callable[[Services, dict[str, Any]], dict[str, Any]]] = {
    "Encrypt": _aws_encrypt,
    "Decrypt": _aws_decrypt,
    "ReEncrypt": _aws_re_encrypt,
}
AWS_FAULTS: dict[str, Answer] = {
    "denied": (400, {"__type": "AccessDeniedException"}),
    "throttled": (400, {"__type": "ThrottlingException"}),
    "down": (500, {"__type": "KMSInternalException"}),
}


def _azure(state: Services, path: str, given: dict[str, Any], token: str | None) -> Answer:
    """https://learn.microsoft.com/en-us/rest/api/keyvault/keys/operation-groups"""
    if token != "Bearer good":
        return 401, {}
    if state.fault in AZURE_FAULTS:
        return AZURE_FAULTS[state.fault]
    _, _, _, version, operation = f"{path}/////".split("/")[:5]
    version = version or next(reversed(state.pairs))
    key = state.pairs.get(version)
    if key is None:
        return 404, {"error": {"code": "KeyNotFound"}}
    if not operation:
        public = key.public_key().public_numbers()
        numbers = {"n": _number(public.n), "e": _number(public.e)}
        return 200, {
            "key": {"kid": f"{AZURE}/keys/fhir/{version}", "kty": "RSA", "key_ops": OPERATIONS, **numbers},
            "attributes": {},
        }
    try:
        return 200, {"value": _base64url(key.decrypt(urlsafe_b64decode(f"{given['value']}=="), OAEP))}
    except ValueError:
        return 400, {"error": {"code": "BadParameter"}}


AZURE_FAULTS: dict[str, Answer] = {
    "denied": (403, {"error": {"code": "Forbidden"}}),
    "throttled": (429, {"error": {"code": "Throttled"}}),
    "down": (500, {"error": {"code": "InternalError"}}),
}


def _number(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


@contextmanager
def running() -> Iterator[Services]:
    state = Services()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given = json.loads(text or b"{}")
            if state.fault == "hang":
                state.over.wait()
                return
            path = self.path.partition("?")[0]
            target = self.headers.get("X-Amz-Target", "").partition(".")[2]
            state.seen.append((target or path, given))
            if target:
                status, body = _aws(state, target, given)
            elif path.startswith("/v1/"):
                status, body = _vault(state, path, given, self.headers.get("X-Vault-Token"))
            else:
                status, body = _azure(state, path, given, self.headers.get("Authorization"))
            octets = json.dumps(body).encode()
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", CHALLENGE)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        do_GET = do_POST = do_PUT = _answer

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()


class Credential:
    def get_token(self, *scopes: str, **more: Any) -> AccessToken:
        return AccessToken("good", 2**33)


class Redirected(RequestsTransport):
    """To this machine, without TLS; the library itself sees the address of the service."""

    def __init__(self, url: str) -> None:
        super().__init__(connection_timeout=PATIENCE["connection_timeout"], read_timeout=PATIENCE["read_timeout"])
        self._url = url

    def send(self, request: Any, **more: Any) -> Any:
        told, request.url = request.url, request.url.replace(AZURE, self._url)
        try:
            return super().send(request, **more)
        finally:
            request.url = told


class LocalAzureKek(AzureKek):
    def __init__(self, services: Services) -> None:
        super().__init__(f"{AZURE}/keys/fhir", credential=Credential())
        self._services = services

    def _client(self, key: str) -> CryptographyClient:
        return CryptographyClient(key, self._credential, transport=Redirected(self._services.url), **PATIENCE)


def vault(services: Services, environment: Callable[[str, str], None]) -> VaultKek:
    environment("VAULT_TOKEN", "root")
    return VaultKek(f"{services.url}/transit/fhir")


def aws(services: Services, environment: Callable[[str, str], None]) -> AwsKek:
    for name, value in (("ACCESS_KEY_ID", "id"), ("SECRET_ACCESS_KEY", "secret"), ("ENDPOINT_URL_KMS", services.url)):
        environment(f"AWS_{name}", value)
    return AwsKek(ARN)


def azure(services: Services, environment: Callable[[str, str], None]) -> AzureKek:
    return LocalAzureKek(services)


KINDS = {"vault": vault, "aws": aws, "azure": azure}
