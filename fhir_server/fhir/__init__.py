"""FHIR itself, pure: resources, JSON, entries, outcomes, definitions, compiled types and validation.

A resource is the parsed JSON (`Resource`), never changed in place. `entry` holds the only currency between rooms,
`outcome` the only exception. Nothing here reads a socket or a database.
https://hl7.org/fhir/R4/
"""
