"""One module for each search type, with both directions: what is indexed of a value, and what is asked for.

`INDEX` holds, by FHIR type, the entries of a value without the code of the parameter; `parse` reads the text of a
search value; `MODIFIERS` holds, by modifier, the condition that a list of values makes.
https://hl7.org/fhir/R4/search.html#ptypes
"""
