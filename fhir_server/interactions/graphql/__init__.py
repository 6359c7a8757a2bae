"""GraphQL over FHIR resources: one file per step from the text of a query to its answer.

Imported at the first query, so that a server that is never asked pays neither time nor memory for it.
https://hl7.org/fhir/R4/graphql.html
"""
