"""What people see: signing in, choosing a patient, consenting, taking consent back. Pages of HTML without scripts.

`page` renders them, `forms` reads what is sent, and each other file is the page, or the few pages, it is named after.
Addresses are relative to `/auth/{tenant}/`; each form carries a token bound to the browser; each answer to a form that
succeeds is a 303 to the next page. https://www.w3.org/TR/WCAG22/
"""

from fhir_server.auth.pages import account, choosing, consenting, securing, signing_in, vouching

PAGES = (signing_in.router, vouching.router, securing.router, choosing.router, consenting.router, account.router)
"""All of them; which application a person is here for stands in `request`."""
