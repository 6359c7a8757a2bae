"""Every converter by name: a closed set of pure functions `(value, *args, context) -> value or None`."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.mapping import (
    convert_amount,
    convert_beside,
    convert_code,
    convert_coding,
    convert_contact,
    convert_dicom,
    convert_dose,
    convert_file,
    convert_form,
    convert_integrity,
    convert_json,
    convert_list,
    convert_measure,
    convert_naming,
    convert_number,
    convert_person,
    convert_record,
    convert_rows,
    convert_secret,
    convert_span,
    convert_text,
    convert_time,
    convert_word,
)
from fhir_server.mapping.converter import Converter

CONVERTERS: Mapping[str, Converter] = {
    **convert_text.CONVERTERS,
    **convert_contact.CONVERTERS,
    **convert_time.CONVERTERS,
    **convert_number.CONVERTERS,
    **convert_code.CONVERTERS,
    **convert_list.CONVERTERS,
    **convert_secret.CONVERTERS,
    **convert_measure.CONVERTERS,
    **convert_word.CONVERTERS,
    **convert_integrity.CONVERTERS,
    **convert_dose.CONVERTERS,
    **convert_dicom.CONVERTERS,
    **convert_form.CONVERTERS,
    **convert_json.CONVERTERS,
    **convert_span.CONVERTERS,
    **convert_rows.CONVERTERS,
    **convert_amount.CONVERTERS,
    **convert_naming.CONVERTERS,
    **convert_coding.CONVERTERS,
    **convert_beside.CONVERTERS,
    **convert_file.CONVERTERS,
    **convert_person.CONVERTERS,
    **convert_record.CONVERTERS,
    "absent": Converter(lambda value: value, frozenset({"*"}), "same", ("word",), none=True, always=True),
}
"""`absent(unknown)` is written by the compiler, which knows what the element can say instead of a value."""
