"""Which events there are besides requests, and how requests are classified: a table.

https://hl7.org/fhir/R4/valueset-audit-event-type.html, https://hl7.org/fhir/R4/valueset-audit-event-sub-type.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from fhir_server.fhir.audit import (
    APPLICATION,
    AUTHOR,
    BALP,
    CUSTODIAN,
    DCM,
    DESTINATION,
    OURS,
    RECIPIENT,
    SOURCE,
    Action,
    Agent,
    Code,
    Event,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What an event is called."""

    type: Code
    subtypes: tuple[Code, ...]
    action: Action


@dataclass(frozen=True, slots=True)
class Manner:
    """How an interaction is recorded: the kind, its pattern, and the parts that client, server and person have."""

    kind: Kind
    profile: str | None
    client: Code
    server: Code
    user: Code

    def profiles(self, patients: int) -> tuple[str, ...]:
        """The variant for patients is about exactly one."""
        if self.profile is None:
            return ()
        return (f"{BALP}StructureDefinition/IHE.BasicAudit.{'Patient' if patients == 1 else ''}{self.profile}",)


OPERATOR: Final = "operator:"
"""What the name of an account on the machine of the server starts with."""
HUMAN: Final = Code("http://terminology.hl7.org/CodeSystem/extra-security-role-type", "humanuser", "human user")
REST: Final = Code("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "Restful Operation")
RESTFUL: Final = "http://hl7.org/fhir/restful-interaction"

_AUTHENTICATION: Final = Code(DCM, "110114", "User Authentication")
_ALERT: Final = Code(DCM, "110113", "Security Alert")
_ACTIVITY: Final = Code(DCM, "110100", "Application Activity")
_EXPORT: Final = Code(DCM, "110106", "Export")
_IMPORT: Final = Code(DCM, "110107", "Import")
_CONFIGURED: Final = Code(DCM, "110129", "Security Configuration")
_USER_CHANGED: Final = Code(DCM, "110137", "User security Attributes Changed")
_SOFTWARE: Final = Code(DCM, "110131", "Software Configuration")
_TOKEN: Final = Code("urn:ihe:event-type-code", "ITI-71", "Get Access Token")


def _ours(code: str, display: str) -> Code:
    return Code(OURS, code, display)


KINDS: Final[Mapping[str, Kind]] = {
    "login": Kind(_AUTHENTICATION, (Code(DCM, "110122", "Login"),), "E"),
    "logout": Kind(_AUTHENTICATION, (Code(DCM, "110123", "Logout"),), "E"),
    "lockout": Kind(_ALERT, (_ours("lockout", "Too many failed tries"),), "E"),
    "second-factor": Kind(_ALERT, (_USER_CHANGED, _ours("second-factor", "Second factor changed")), "U"),
    "password": Kind(_ALERT, (_USER_CHANGED, _ours("password", "Password changed")), "U"),
    "token-issued": Kind(_AUTHENTICATION, (_TOKEN, _ours("token-issued", "Access token issued")), "E"),
    "token-refreshed": Kind(_AUTHENTICATION, (_TOKEN, _ours("token-refreshed", "Access token renewed")), "E"),
    "token-revoked": Kind(_ALERT, (_ours("token-revoked", "Token or grant taken back"),), "D"),
    "replay": Kind(_ALERT, (_ours("replay", "A code or token was used again"),), "E"),
    "decision": Kind(_ALERT, (_ours("decision", "A person allowed or refused an application"),), "E"),
    "launch": Kind(_AUTHENTICATION, (_ours("launch", "Launch of an application prepared"),), "E"),
    "choice": Kind(Code(DCM, "110112", "Query"), (_ours("choice", "Patients were listed to choose from"),), "E"),
    "refused": Kind(_ALERT, (_ours("refused", "An application was refused"),), "E"),
    "client": Kind(_ALERT, (_CONFIGURED, _ours("client", "Client changed")), "U"),
    "user": Kind(_ALERT, (_USER_CHANGED, _ours("user", "User changed")), "U"),
    "provider": Kind(_ALERT, (_CONFIGURED, _ours("provider", "Identity provider changed")), "U"),
    "tenant": Kind(_ALERT, (_CONFIGURED, _ours("tenant", "Tenant changed")), "U"),
    "key": Kind(_ALERT, (_CONFIGURED, _ours("key", "Keys changed")), "U"),
    "package": Kind(_ACTIVITY, (_SOFTWARE, _ours("package", "Package changed")), "U"),
    "migration": Kind(_IMPORT, (_ours("migration", "Migration run"),), "E"),
    "write-back": Kind(_EXPORT, (_ours("write-back", "Changes written to the source"),), "E"),
    "load": Kind(_IMPORT, (_ours("load", "Resources loaded"),), "C"),
    "export": Kind(_EXPORT, (_ours("export", "Resources exported"),), "R"),
    "backup": Kind(_EXPORT, (_ours("backup", "Backup made"),), "R"),
    "restore": Kind(_IMPORT, (_ours("restore", "Backup restored"),), "C"),
    "break-glass": Kind(_ALERT, (Code(DCM, "110127", "Emergency Override Started"),), "E"),
    "break-glass-over": Kind(_ALERT, (Code(DCM, "110138", "Emergency Override Stopped"),), "E"),
    "retention": Kind(_ACTIVITY, (_ours("retention", "Retention rules applied"),), "D"),
    "hold": Kind(_ALERT, (_ours("hold", "Legal hold changed"),), "U"),
    "shred": Kind(_ALERT, (_ours("shred", "Key destroyed, with all that it sealed"),), "D"),
    "signature": Kind(_ACTIVITY, (_ours("signature", "Record signed"),), "E"),
    "step-up": Kind(_AUTHENTICATION, (_ours("step-up", "A person proved again who they are"),), "E"),
    "audit": Kind(_ACTIVITY, (Code(DCM, "110101", "Audit Log Used"),), "R"),
}
"""By the word that the code uses for them."""


def happened(kind: str, recorded: datetime, *agents: Agent, **more: Any) -> Event:
    """An event of a kind of the table."""
    found = KINDS[kind]
    return Event(found.type, found.subtypes, found.action, recorded, agents, **more)


def _manner(code: str, action: Action, profile: str | None, *parts: Code) -> Manner:
    return Manner(Kind(REST, (Code(RESTFUL, code, code),), action), profile, *parts)


_SHOWN = (DESTINATION, SOURCE, RECIPIENT)
_ASKED = (SOURCE, DESTINATION, RECIPIENT)
_WRITTEN = (SOURCE, DESTINATION, AUTHOR)

MANNERS: Final[Mapping[str, Manner]] = {
    "read": _manner("read", "R", "Read", *_SHOWN),
    "vread": _manner("vread", "R", "Read", *_SHOWN),
    "history-instance": _manner("history-instance", "R", None, *_SHOWN),
    "history-type": _manner("history-type", "R", None, *_SHOWN),
    "history-system": _manner("history-system", "R", None, *_SHOWN),
    "create": _manner("create", "C", "Create", *_WRITTEN),
    "update": _manner("update", "U", "Update", *_WRITTEN),
    "patch": _manner("patch", "U", "Update", *_WRITTEN),
    "delete": _manner("delete", "D", "Delete", APPLICATION, CUSTODIAN, AUTHOR),
    "search-type": _manner("search-type", "E", "Query", *_ASKED),
    "search-system": _manner("search-system", "E", "Query", *_ASKED),
    "batch": _manner("batch", "E", None, *_WRITTEN),
    "transaction": _manner("transaction", "E", None, *_WRITTEN),
    "operation": _manner("operation", "E", None, *_ASKED),
    "async": Manner(Kind(REST, (_ours("async", "An answer was fetched later"),), "R"), None, *_SHOWN),
    "none": Manner(Kind(REST, (), "E"), None, *_ASKED),
}
"""By the code of the interaction table."""


@cache
def manner(code: str) -> Manner:
    """That of an interaction; what has no row of its own is recorded as what it is called."""
    return MANNERS.get(code) or _manner(code, "E", None, *_ASKED)
