"""DICOM tags of image rows: which study, which series, which instance.  https://hl7.org/fhir/R4/imagingstudy.html"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_list import member_of
from fhir_server.mapping.convert_number import is_true
from fhir_server.mapping.convert_time import date_time
from fhir_server.mapping.converter import ITEM, LIST, ROWS, TEST, TEXT, Converter
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.maps import ConceptMap
from fhir_server.mapping.text import text

Row = dict[str, Any]
UID = re.compile(r"[0-2](\.(0|[1-9]\d*))+\Z")
URN = "urn:oid:"
URI_SYSTEM = "urn:ietf:rfc:3986"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
TAGS = "dicom_metadata"
KINDS = {
    "pdf": "application/pdf",
    "png": "image/png",
    "gif": "image/gif",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "dcm": "application/dicom",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
}
"""Content types by the end of a file's name."""


def imaging(value: Any, flag: Any, series: Any) -> bool | None:
    """A test: the row is an instance of a DICOM study and has the tags that a study needs."""
    if not is_true(flag):
        return None
    if _instance({TAGS: value, "is_dicom": flag, "series_id": series, "id": None}) is None:
        raise Fault("JSON_INVALID", "The DICOM tags lack the study, the series or the class of the object.")
    return True


def _instance(row: Row) -> Row | None:
    """The unique ids of a row: its study, series, object and class; None where one that is needed is missing."""
    tags = row[TAGS]
    study, kind = _uid(member_of(tags, "StudyInstanceUID")), _uid(member_of(tags, "SOPClassUID"))
    series = _uid(member_of(tags, "SeriesInstanceUID")) or _uid_of(row["series_id"])
    if study is None or kind is None or series is None or not is_true(row["is_dicom"]):
        return None
    return {"series": series, "uid": _uid(member_of(tags, "SOPInstanceUID")) or _uid_of(row["id"]), "kind": kind}


def _uid(value: str | None) -> str | None:
    return value if value and len(value) <= 64 and UID.match(value) else None


def _uid_of(key: Any) -> str | None:
    """A UUID as a DICOM unique id.  DICOM PS3.5 §B.2"""
    try:
        return f"2.25.{UUID(str(key)).int}"
    except ValueError:
        return None


def _instances(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    for row in rows:
        found = _instance(row)
        if found and found["uid"]:
            yield row, found


def dicom_series(rows: Sequence[Row], kinds: ConceptMap, sides: ConceptMap, context: Context) -> list[Row] | None:
    """The series of a study, each with its instances, in the order of the rows."""
    found: dict[str, Row] = {}
    for row, ids in _instances(rows):
        series = found.setdefault(ids["series"], {**_series(row, ids, kinds, sides, context), "instance": []})
        if all(each["uid"] != ids["uid"] for each in series["instance"]):
            series["instance"].append(_object(row, ids))
    return [{**each, "numberOfInstances": len(each["instance"])} for each in found.values()] or None


def _series(row: Row, ids: Row, kinds: ConceptMap, sides: ConceptMap, context: Context) -> Row:
    side = sides.target(row["laterality"]) if row["laterality"] is not None else None
    words = member_of(row[TAGS], "SeriesDescription") or text(row["series_description"]) or text(row["series_name"])
    return {
        "uid": ids["series"],
        "modality": {"system": DCM, "code": _modality(row, kinds)},
        **({"description": words} if words else {}),
        **({"laterality": side.coding} if side and side.coding else {}),
        **_started(row["series_created_at"], context),
    }


def _started(value: Any, context: Context) -> Row:
    try:
        return {} if value is None else {"started": date_time(value, context)}
    except Fault:
        return {}


def _object(row: Row, ids: Row) -> Row:
    number = member_of(row[TAGS], "InstanceNumber") or ""
    return {
        "uid": ids["uid"],
        "sopClass": {"system": URI_SYSTEM, "code": f"{URN}{ids['kind']}"},
        **({"number": int(number)} if re.fullmatch(r"\d{1,9}", number, re.ASCII) else {}),
    }


def _modality(row: Row, kinds: ConceptMap) -> str:
    """What the tags say, else what the kind of the image says."""
    said = member_of(row[TAGS], "Modality")
    if said and re.fullmatch(r"[A-Z0-9]{2,16}", said):
        return said
    target = kinds.target(row["image_type"])
    return target.coding["code"] if target and target.coding else "OT"


def dicom_modalities(rows: Sequence[Row], kinds: ConceptMap) -> list[str] | None:
    """The modalities of a study, each once."""
    return list(dict.fromkeys(_modality(row, kinds) for row, _ in _instances(rows))) or None


def dicom_instances(rows: Sequence[Row]) -> list[str] | None:
    """The unique ids of the instances of a study."""
    return list(dict.fromkeys(f"{ids['series']} {ids['uid']}" for _, ids in _instances(rows))) or None


def counted(value: Sequence[Any]) -> int:
    """How many there are."""
    return len(value)


def dicom_moment(value: Any, clock: Any, context: Context) -> str:
    """Date and time of DICOM, `20240506` and `101500.00`.  DICOM PS3.5 §6.2"""
    day, time = re.sub(r"\D", "", str(value)), str(clock or "").partition(".")[0]
    try:
        if re.fullmatch(r"\d{6}", time, re.ASCII):
            return date_time(datetime.strptime(day + time, "%Y%m%d%H%M%S"), context)
        return datetime.strptime(day, "%Y%m%d").date().isoformat()
    except ValueError as fault:
        raise Fault("DATE_INVALID", "The value is no date of DICOM.") from fault


def file_named(value: str) -> Row:
    """An Attachment that says what file there is; the file itself stays where it is.  https://hl7.org/fhir/R4/datatypes.html#Attachment"""
    name = value.rpartition("/")[2] or value
    kind = KINDS.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    return {"contentType": kind, "title": name}


CONVERTERS = {
    "imaging": Converter(
        imaging, frozenset({"json", "text"}), TEST, ("column", "column"), fails=True, none=True, nested=True
    ),
    "dicom_series": Converter(dicom_series, frozenset({ROWS}), LIST, ("map", "map"), context=True),
    "dicom_modalities": Converter(dicom_modalities, frozenset({ROWS}), LIST, ("map",)),
    "dicom_instances": Converter(dicom_instances, frozenset({ROWS}), LIST),
    "dicom_moment": Converter(dicom_moment, ITEM, "dateTime", ("column",), fails=True, context=True),
    "counted": Converter(counted, frozenset({LIST}), "positiveInt"),
    "file_named": Converter(file_named, TEXT, "Attachment"),
}
