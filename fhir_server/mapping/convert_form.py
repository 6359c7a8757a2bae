"""Forms in JSON: the layout of one as a Questionnaire, what was filled in as answers and findings.

https://hl7.org/fhir/R4/questionnaire.html
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from fhir_server.mapping.converter import LIST, Converter, Words
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.maps import ConceptMap
from fhir_server.mapping.text import folded, text

Object = dict[str, Any]
LAYOUT = "/StructureDefinition/legacy-layout"
CHOICES = frozenset({"choice", "open-choice"})
MANY = frozenset({"multiselect", "checkbox_group"})
SIDES = ("od", "os", "ou", "right", "left")
NUMBERED = {"iop": "pressure", "rom": "angle", "strength": "grade"}
"""What the first word of a key says about its number."""


def objects(value: Any, name: str) -> list[Object] | None:
    """The entries of a JSON array, or a single one, as objects; a bare word becomes one with it as this member."""
    entries = value if isinstance(value, list) else [value]
    found = [each if isinstance(each, dict) else {name: _words(each)} for each in entries if each is not None]
    return [each for each in found if any(entry is not None for entry in each.values())] or None


def _words(value: Any) -> str | None:
    return json_text(value) if isinstance(value, list) else text(value)


def members(value: Any, skipped: Words) -> list[Object] | None:
    """What was filled in, as `{key, path, side, …}`: keys stand alone or below a section, `exam.va_od`."""
    if not isinstance(value, dict):
        raise Fault("JSON_INVALID", "The column holds no JSON object.")
    return [_member(path, found) for path, found in _paths(value, skipped)] or None


def _paths(value: Object, skipped: Words) -> Iterator[tuple[str, Any]]:
    for key, found in value.items():
        if folded(key) in skipped or text(key) is None:
            continue
        below = found.items() if isinstance(found, dict) else ()
        yield from ((f"{key}.{name}", each) for name, each in below if _is_answer(each) and text(name))
        if _is_answer(found):
            yield key, found


def _is_answer(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_answer, value))
    return not isinstance(value, dict) and text(value) is not None


def _member(path: str, value: Any) -> Object:
    name = folded(path.rpartition(".")[2])
    side = name.rpartition("_")[2]
    found = {"key": path, "name": name, "side": side if side in SIDES else None, "value": value}
    number = None if name.startswith("va_") or isinstance(value, bool | list) else _number(value)
    if isinstance(value, bool):
        return {**found, "flag": value}
    if number is None:
        parts = value if isinstance(value, list) else [value]
        return {**found, "words": ", ".join(str(each) for each in parts if _is_answer(each))}
    return {**found, NUMBERED.get(name.partition("_")[0], "number"): number}


def _number(value: Any) -> Decimal | None:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < 10**15 else None


def answered(value: Any) -> Object | None:
    """An item of a QuestionnaireResponse.  https://hl7.org/fhir/R4/questionnaireresponse.html"""
    found = value["value"] if isinstance(value, dict) and "value" in value else None
    answers = [_answer(each) for each in (found if isinstance(found, list) else [found]) if _is_answer(each)]
    return {"linkId": value["key"], "answer": answers} if answers else None


def _answer(value: Any) -> Object:
    if isinstance(value, bool):
        return {"valueBoolean": value}
    number = None if isinstance(value, str) else _number(value)
    return {"valueString": text(value)} if number is None else {"valueDecimal": number}


def pages(value: Any) -> list[Any] | None:
    """The pages of a layout."""
    found = value.get("pages") if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise Fault("JSON_INVALID", "The layout has no list of pages.")
    return [{**each, "number": each.get("page_number", at)} for at, each in enumerate(_objects(found), 1)] or None


def page(value: Any, kinds: ConceptMap) -> Object | None:
    """A page of a layout as a group of sections, and these as groups of fields."""
    if not isinstance(value, dict):
        return None
    sections = [_section(each, kinds) for each in _objects(value.get("sections")) if text(each.get("id"))]
    return _group({"linkId": f"p{value['number']}"}, sections)


def _section(found: Object, kinds: ConceptMap) -> Object:
    name = str(text(found["id"]))
    head: Object = {"linkId": name}
    if found.get("position") is not None:
        written = msgspec.json.encode(found["position"], order="sorted").decode()
        head["extension"] = [{"url": f"{kinds.local.partition('/CodeSystem/')[0]}{LAYOUT}", "valueString": written}]
    if text(found.get("title")):
        head["text"] = text(found["title"])
    return _group(head, list(_fields(found.get("fields"), kinds, f"{name}.")))


def _group(head: Object, items: list[Object]) -> Object:
    """que-1: a group has items; without them it only shows its title."""
    return {**head, "type": "group", "item": items} if items else {**head, "type": "display"}


def form_fields(value: Any, kinds: ConceptMap) -> list[Object] | None:
    """The fields of a section as items of a Questionnaire."""
    if not isinstance(value, list):
        raise Fault("JSON_INVALID", "The column holds no list of fields.")
    return list(_fields(value, kinds, "")) or None


def _fields(found: Any, kinds: ConceptMap, prefix: str) -> Iterator[Object]:
    """que-2: a name that stands twice in a section is one field."""
    seen: set[str] = set()
    for each in _objects(found):
        name = text(each.get("name"))
        if name is not None and name not in seen:
            seen.add(name)
            yield _field(each, f"{prefix}{name}", kinds)


def _field(found: Object, link: str, kinds: ConceptMap) -> Object:
    written = str(text(found.get("type")) or "text")
    target = kinds.target(written)
    item: Object = {"linkId": link}
    if text(found.get("label")):
        item["text"] = text(found["label"])
    item["type"] = target.code if target else "string"
    if item["type"] == "display":
        return item
    if isinstance(found.get("required"), bool):
        item["required"] = found["required"]
    if folded(written) in MANY:
        item["repeats"] = True
    options = found.get("options")
    if item["type"] in CHOICES and isinstance(options, list):
        answers = [{"valueString": text(each)} for each in dict.fromkeys(map(str, options)) if text(each)]
        item |= {"answerOption": answers} if answers else {}
    return item


def _objects(found: Any) -> Iterator[Object]:
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def json_text(value: Any) -> str:
    """A JSON value as text, its members in order of name: the same whatever database it was read from."""
    return msgspec.json.encode(value, order="sorted").decode()


def built(value: Any) -> Any:
    """An item that is complete as it is."""
    return value


def size(value: Any, height: Any) -> str:
    """Width and height of a section, as JSON."""
    found = {"height": height, "width": value}
    return msgspec.json.encode({name: each for name, each in found.items() if each is not None}).decode()


JSON = frozenset({"json", "item"})
ITEM = "BackboneElement"
CONVERTERS = {
    "objects": Converter(objects, JSON, LIST, ("field",), nested=True),
    "members": Converter(members, JSON, LIST, ("value*",), fails=True, nested=True),
    "answered": Converter(answered, JSON, ITEM, nested=True),
    "pages": Converter(pages, JSON, LIST, fails=True, nested=True),
    "page": Converter(page, JSON, ITEM, ("map",), nested=True),
    "form_fields": Converter(form_fields, JSON, LIST, ("map",), fails=True, nested=True),
    "json_text": Converter(json_text, JSON, "text", nested=True),
    "built": Converter(built, JSON, ITEM, nested=True),
    "size": Converter(size, frozenset({"integer"}), "string", ("column",)),
}
