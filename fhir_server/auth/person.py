"""Who sits before the browser: somebody who has signed in to a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Person:
    tenant: str
    user_id: str
    username: str
    name: str
    fhir_user: str | None
    """A reference such as `Practitioner/1`."""
    roles: tuple[str, ...]
    patients: tuple[str, ...] | None
    """Ids of the patients that this person may act for; None where the roles decide."""
    session_id: str
    authenticated_at: datetime
    methods: tuple[str, ...]
    """How the person proved to be this one. RFC 8176"""
