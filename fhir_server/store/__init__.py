"""The only room that knows MongoDB: versions, history, transactions, tenants, keys and the state of mappings.

`opened(...)` gives the `Store`: an embedded `mongod`, a given MongoDB or memory, all with the same face. Everything
about resources goes through a `Repository`, made for one tenant and one caller; each of its queries is built in
`where`, which puts the tenant and what the caller may see into it. Errors of the driver leave this room as `FhirError`
(503 when the database is away) or, at start-up, as `StoreError`, which is for the operator.
https://hl7.org/fhir/R4/http.html
"""
