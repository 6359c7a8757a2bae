"""Who is asking: what an access token, or the operator of this machine, stands for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from fhir_server.access.right import Right
from fhir_server.access.scopes import ANY, Scope

EVERYTHING = (Scope("system", ANY, frozenset(Right)),)


@dataclass(frozen=True, eq=False)
class Caller:
    """One authentication in one tenant. Two are never equal: what was decided for one is not reused."""

    tenant: str
    subject: str
    client_id: str
    scopes: tuple[Scope, ...]
    patient: str | None = None
    """The logical id of the one patient that `patient/` scopes are about."""
    token_id: str | None = None

    @classmethod
    def system(cls, tenant: str, reason: str) -> Caller:
        """The server itself, or its operator: everything of one tenant, and a reason that the record can show."""
        return cls(tenant, "system", reason, EVERYTHING)

    @classmethod
    def anonymous_local(cls, tenant: str) -> Caller:
        """Whoever reaches a server started with `--no-auth`, which listens on the loopback interface only."""
        return cls(tenant, "local", "no-auth", EVERYTHING)

    @classmethod
    def nobody(cls, tenant: str) -> Caller:
        """Whoever asks for what needs no token: without any scope."""
        return cls(tenant, "anonymous", "none", ())

    @cached_property
    def fingerprint(self) -> bytes:
        """Binds a page link to who got it: subject, client, patient and scopes, whichever token carries them."""
        scopes = sorted(map(str, self.scopes))
        return hashlib.sha256(repr((self.tenant, self.subject, self.client_id, self.patient, scopes)).encode()).digest()
