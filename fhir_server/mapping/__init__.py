"""Legacy rows in, FHIR resources out: the engine behind `mappings/`.

`catalogue.load(source)` reads the declarations, `check.problems` proves them against R4 before a row is read,
`compile.compiled` turns each into Python functions, and `run.Migration` reads, maps, validates and stores.
A declaration is a template of its resource: `$column | converter(args)` is a value, all else is literal.
"""
