"""A FHIR R4 (4.0.1) server: legacy rows in, FHIR out, tenants apart, MongoDB underneath.  https://hl7.org/fhir/R4/"""

__version__ = "0.1.0"
