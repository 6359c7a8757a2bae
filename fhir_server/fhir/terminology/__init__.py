"""What code systems, value sets and concept maps say, computed from parsed resources without any input or output.

`code_system` is a system as concepts with a hierarchy, `filters` chooses among them, `value_set` expands a value set
and says whether a code is in it, `concept_map` translates. What cannot be answered rightly is refused.
https://hl7.org/fhir/R4/terminology-module.html
"""
