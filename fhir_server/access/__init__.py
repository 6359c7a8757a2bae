"""Who may do what: caller, scopes, compartment -> one restriction, put inside every query.

`restriction(caller, resource_type, right)` is the only rule source. It raises 403 where the token cannot do this at all
(decided before the database is asked) and otherwise answers the filter that every path of the store applies: read,
search, count, history and the states before and after a write.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""
