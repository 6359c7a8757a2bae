"""The interactions of the RESTful API, one file each under the name the specification gives it.

`table.INTERACTIONS` is the only list: it feeds routing, bundle dispatch, the CapabilityStatement, the SMART right an
interaction needs and the label it is logged under. `table.perform` answers one entry, whether it came by HTTP or inside
a Bundle; nothing here knows HTTP.
https://hl7.org/fhir/R4/http.html
"""
