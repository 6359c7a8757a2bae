"""Errors of OAuth, which are not those of FHIR.  RFC 6749 §4.1.2.1, §5.2"""

from __future__ import annotations


class Refused(Exception):
    """Why an authorization is not given.

    With a `location` the browser is sent back to the application, which learns it there; without one a person is shown
    a page with status 400, because nobody has shown that the address to go to is the application's.
    """

    def __init__(self, error: str, description: str, location: str | None = None) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.location = location

    @property
    def page(self) -> bool:
        return self.location is None
