"""Operations (`$everything`, `$validate`, …), one file each; their OperationDefinitions say what they are called on.
https://hl7.org/fhir/R4/operations.html
"""
