"""The key that wraps all others, wherever it is kept: in a file, or in a key management service.

`port.Kek` is what an adapter does; `adapters.kek_of` makes the one that `FHIR_KEK` names.
"""
