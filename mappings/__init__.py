"""Declared translations of legacy tables into FHIR resources, one YAML file a table."""
