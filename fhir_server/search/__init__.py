"""Search: extraction, persistence, search.

*Extraction*: the SearchParameter expressions of a type are compiled once into one walk over the JSON (`expression`,
`routes`, `extraction`); `index.index(resource)` answers the entries by which the resource will be found.
*Persistence*: entries live in the arrays `tok`, `str`, `dat` and `num` of its document; each module of `types` says
what it writes there and, in the same file, what it asks for. *Search*: `parse.parse` reads a query string into a
`Query`, `plan.plan` turns it into what MongoDB is asked, `bundle.searchset` writes the answer.

Everything here is pure. Unknown parameters and modifiers are refused by name or, where the client is lenient, named
in the answer; they are never dropped.
https://hl7.org/fhir/R4/search.html
"""
