"""Who is asking: what an access token, or the operator of this machine, stands for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from fhir_server.access import roles
from fhir_server.access.clearance import ALL, Clearance
from fhir_server.access.denials import Denials
from fhir_server.access.grant import Grant
from fhir_server.access.right import Right
from fhir_server.access.scopes import ANY, Scope

EVERYTHING = (Scope("system", ANY, frozenset(Right)),)

TREATMENT = "TREAT"
BREAK_GLASS = "BTG"
"""https://hl7.org/fhir/R4/v3/PurposeOfUse/vs.html"""


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
    purpose: str = TREATMENT
    clearance: Clearance | None = None
    """What the token says; with roles the narrower of both holds."""
    until: datetime | None = None
    """When what the token opens is shut, though it can still be read whose it was."""
    unbound: bool = False
    """The server itself and its operator: neither security labels nor consents hide anything from them."""
    denials: Denials | None = None
    """What consents forbid, as it is now; None until that was looked up."""
    concealing: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)
    """What was worked out for this caller of labels and consents; see `access.concealment`."""

    @property
    def session(self) -> str | None:
        """What somebody who steps up is bound to: the sign-in, or where there was none the token."""
        return self.session_id or self.token_id

    @cached_property
    def acts_for(self) -> tuple[str, ...]:
        """Patients whom the person may act for, the person first."""
        about, _, own = (self.fhir_user or "").rpartition("/")
        return tuple(dict.fromkeys(((own,) if about.endswith("Patient") else ()) + self.patients))

    @cached_property
    def cleared(self) -> Clearance:
        """Of whoever breaks the glass the token alone decides."""
        if self.roles is None or self.purpose == BREAK_GLASS:
            return self.clearance or Clearance()
        own = roles.clearance_of(self.roles)
        return own & self.clearance if self.clearance else own

    @cached_property
    def selves(self) -> tuple[str, ...]:
        """Patients whose own token this is, or who let this person act for them."""
        own = (self.patient,) if self.patient and self.roles is None and self.fhir_user is None else ()
        return tuple(dict.fromkeys((*own, *(self.acts_for if self.purpose != BREAK_GLASS else ()))))

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
        return cls(tenant, "system", reason, EVERYTHING, clearance=ALL, unbound=True)

    @classmethod
    def anonymous_local(cls, tenant: str) -> Caller:
        """Whoever reaches a server started with `--no-auth`, which listens on the loopback interface only."""
        return cls(tenant, "local", "no-auth", EVERYTHING, clearance=ALL, unbound=True)

    @classmethod
    def nobody(cls, tenant: str) -> Caller:
        """Whoever asks for what needs no token: without any scope."""
        return cls(tenant, "anonymous", "none", ())

    @cached_property
    def fingerprint(self) -> bytes:
        """Binds a page link to who got it: subject, client, patient, scopes and roles, whichever token carries them."""
        scopes = sorted(map(str, self.scopes))
        who = (self.tenant, self.subject, self.client_id, self.patient, scopes, self.roles, self.patients)
        if self.purpose != TREATMENT or self.clearance is not None:
            who = (*who, self.purpose, str(self.clearance))  # type: ignore[assignment]
        return hashlib.sha256(repr(who).encode()).digest()
