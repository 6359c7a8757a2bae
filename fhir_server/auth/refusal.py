"""Errors of OAuth, which are not those of FHIR.  RFC 6749 §4.1.2.1, §5.2"""

from __future__ import annotations

import re
from collections.abc import Mapping

_UNFIT = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
"""What an error_description may not hold. RFC 6749 §4.1.2.1"""


class OAuthError(Exception):
    """What an application that calls by itself is answered, as JSON."""

    def __init__(
        self, error: str, description: str, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"error": error, "error_description": _UNFIT.sub("?", description)}


class Refused(Exception):
    """Why an authorization is not given.

    With a `location` the browser is sent back to the application, which learns it there; without one a person is shown
    a page with status 400, because nobody has shown that the address to go to is the application's.
    """

    def __init__(self, error: str, description: str, location: str | None = None) -> None:
        super().__init__(description)
        self.error = error
        self.description = _UNFIT.sub("?", description)
        self.location = location

    @property
    def page(self) -> bool:
        return self.location is None
