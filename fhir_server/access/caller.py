"""Who is asking: what an access token, or the operator of this machine, stands for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fhir_server.access import roles
from fhir_server.access.grant import Grant
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
    roles: tuple[str, ...] | None = None
    """Of the person behind the token, whom they limit whatever the scopes say; None where there is no person."""
    patients: tuple[str, ...] = ()
    """The logical ids of the patients that the person may act for."""
    fhir_user: str | None = None
    """The resource that is about the person."""
    grants: tuple[Grant, ...] = ()
    """What others share with the person, as it is now."""
    session_id: str | None = None
    """Of the sign-in that the token came from."""

    @property
    def session(self) -> str | None:
        """What somebody who steps up is bound to: the sign-in, or where there was none the token."""
        return self.session_id or self.token_id

    @cached_property
    def acts_for(self) -> tuple[str, ...]:
        """Patients whom the person may act for, the person first."""
        about, _, own = (self.fhir_user or "").rpartition("/")
        return tuple(dict.fromkeys(((own,) if about.endswith("Patient") else ()) + self.patients))

    @classmethod
    def person(
        cls, tenant: str, subject: str, names: tuple[str, ...], patients: tuple[str, ...] = (), **more: Any
    ) -> Caller:
        """Someone who is signed in here, without a client in between: all that the roles allow."""
        scopes = roles.scopes_of(names).resources
        return cls(tenant, subject, "sign-in", scopes, roles=names, patients=patients, **more)

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
        """Binds a page link to who got it: subject, client, patient, scopes and roles, whichever token carries them."""
        scopes = sorted(map(str, self.scopes))
        who = (self.tenant, self.subject, self.client_id, self.patient, scopes, self.roles, self.patients)
        return hashlib.sha256(repr(who).encode()).digest()
