"""What FHIR R4 says and what this server claims, as data, and the script that rebuilds it."""
