"""Profiles: a StructureDefinition compiled into rules, and a resource checked against them.

`library` holds the definitions that are known and says which it lacks, `compiling` makes the tree of `rules`,
`checking` walks a resource beside it with `slices`, `discriminators`, `matching` and `bindings`. Nothing here reads
from anywhere: what is missing is named, fetched by the caller, and the check is made again.
https://hl7.org/fhir/R4/profiling.html
"""
