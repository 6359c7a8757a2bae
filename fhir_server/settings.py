"""What can be set: one frozen object, read once from the environment (`FHIR_…`) and the command line."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MEGABYTE = 1024 * 1024

METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that lets workers count together; it must be set before any of them loads the client."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FHIR_", env_nested_delimiter="__", frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on.")
    base_url: str = Field(
        default="", description="Public URL in front of /fhir and /auth, when clients see another than ours."
    )
    mongo_url: str | None = Field(
        default=None, description="MongoDB to use: a replica set, since transactions need one."
    )
    data_dir: Path = Field(
        default=Path("~/.local/share/fhir-server"),
        description="Where the server keeps its own MongoDB when no other is named.",
    )
    mongod: str | None = Field(
        default=None, description="The mongod program; the one on PATH or of the extra 'embedded' if not set."
    )
    memory: bool = Field(default=False, description="Keep everything in memory and nothing afterwards.")
    database: str = Field(default="fhir", min_length=1, description="Name of the MongoDB database.")
    kek: str | None = Field(
        default=None,
        description="The key that wraps all others: `file:PATH` (`file:` alone makes one in the data directory), "
        "`vault:URL`, `aws:KEY` or `azure:URL`; with it new tenants are encrypted.",
    )
    tenants: frozenset[str] = Field(
        default=frozenset(), description="Tenants to create at start-up if they do not exist."
    )
    audit_anchor: Path | None = Field(
        default=None,
        description="File outside of MongoDB that checkpoints of the journal are added to.",
    )
    no_auth: bool = Field(default=False, description="Serve without access tokens, on the loopback interface only.")
    max_body_bytes: int = Field(
        default=32 * MEGABYTE, ge=1024, description="Longest request body, after decompression."
    )
    body_grace_seconds: float = Field(
        default=10.0, gt=0, description="Time for a request body, before its size gives it more."
    )
    body_bytes_per_second: int = Field(
        default=32_768, ge=1, description="Slowest pace at which a long body may arrive."
    )
    gzip_level: int = Field(default=1, ge=0, le=9, description="How hard answers are compressed; 0 is not at all.")
    gzip_minimum_bytes: int = Field(default=1024, ge=0, description="Answers shorter than this are not compressed.")
    cors_origins: frozenset[str] = Field(
        default=frozenset(), description="Web origins whose scripts may use the FHIR API."
    )
    internal_hosts: frozenset[str] = Field(
        default=frozenset(),
        description="Hosts at private addresses that may have key sets of clients or be identity providers.",
    )
    async_result_seconds: int = Field(
        default=86_400, ge=1, description="How long the answer to a request with Prefer: respond-async is kept."
    )
    session_idle_seconds: int = Field(
        default=900, ge=60, description="A person who does nothing on our pages for so long signs in again."
    )
    session_seconds: int = Field(
        default=43_200, ge=60, description="A person signs in again after so long, whatever happens."
    )
    audit: bool = Field(
        default=True,
        description="Record every request; off with no_auth and memory, and else only on the loopback interface.",
    )
    log_level: str = Field(default="INFO", description="Least severe log records that are written.")

    @model_validator(mode="after")
    def _no_auth_is_local(self) -> Settings:
        if self.no_auth and not is_loopback(self.host):
            raise ValueError(
                f"no_auth serves everyone who can connect, so it refuses the host '{self.host}'; use 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _unrecorded_is_local(self) -> Settings:
        if not self.audit and not is_loopback(self.host):
            raise ValueError(
                f"without audit nobody learns who saw what, so it refuses the host '{self.host}'; use 127.0.0.1"
            )
        return self

    @property
    def audited(self) -> bool:
        """Whether requests are recorded: where there is nobody to name, or nothing is kept, they are not."""
        return self.audit and not self.no_auth and not self.memory

    @property
    def anchor(self) -> Path | None:
        """The file of checkpoints; none for a MongoDB of the operator's, unless it is named."""
        if self.audit_anchor is not None:
            return self.audit_anchor.expanduser()
        own = self.mongo_url is None and not self.memory
        return self.data_dir.expanduser() / "audit-anchor.jsonl" if own else None

    @property
    def issuer_url(self) -> str:
        """What issuers and audiences of tokens start with: nothing, where no public URL binds them to one address."""
        return self.base_url.rstrip("/")

    @property
    def public_url(self) -> str:
        """What links start with, without a trailing slash."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not listened on
        bracketed = f"[{host}]" if ":" in host else host
        return self.issuer_url or f"http://{bracketed}:{self.port}"


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
