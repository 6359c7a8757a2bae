"""Search queries that must find a resource, made from the values that a parameter has in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.search.registry import parameters

Query = list[tuple[str, str]]


def escaped(text: str) -> str:
    return re.sub(r"([\\,|$])", r"\\\1", text)


def finding(resource_type: str, code: str, value: Any) -> Query | None:
    """A query for one value; None where the value holds nothing that can be searched for."""
    kind = parameters(resource_type)[code].kind
    return next(BY_KIND[kind](code, value), None)


def _string(code: str, value: Any) -> Iterator[Query]:
    names = (
        "text",
        "family",
        "given",
        "line",
        "city",
        "country",
        "state",
        "postalCode",
        "district",
        "prefix",
        "display",
    )
    texts = [value] if isinstance(value, str) else [value[name] for name in names if value.get(name)]
    for text in texts:
        written = text if isinstance(text, str) else next(each for each in text if each)
        if len(written) < 1000:
            yield [(code, escaped(written[:40])), (f"{code}:exact", escaped(written))]


def _phonetic(code: str, value: Any) -> Iterator[Query]:
    return ([(code, text)] for query in _string("", value) for _, text in query[:1])


def _token(code: str, value: Any) -> Iterator[Query]:
    if isinstance(value, bool):
        yield [(code, str(value).lower())]
    elif not isinstance(value, dict):
        yield [(code, escaped(str(value)))]
    elif "coding" in value:
        for each in value["coding"]:
            yield from _token(code, each)
    elif value.get("code", value.get("value")):
        written = value.get("code", value.get("value"))
        yield [(code, escaped(written)), (code, f"{escaped(value.get('system', ''))}|{escaped(written)}")]
    elif "system" in value:
        yield [(code, f"{escaped(value['system'])}|")]
    if isinstance(value, dict) and value.get("text"):
        yield [(f"{code}:text", escaped(value["text"][:40]))]


def _reference(code: str, value: Any) -> Iterator[Query]:
    if isinstance(value, str):
        yield [(code, escaped(value))]
    elif "resourceType" in value:
        yield [(code, f"{value['resourceType']}/{value['id']}")] if "id" in value else [(f"{code}:missing", "false")]
    elif not value.get("reference", "#").startswith("#"):
        yield [(code, escaped(value["reference"]))]
    elif "identifier" in value:
        yield from ([(f"{code}:identifier", text)] for query in _token("", value["identifier"]) for _, text in query)
    elif "reference" in value or "display" in value:
        yield [(f"{code}:missing", "false")]


def _date(code: str, value: Any) -> Iterator[Query]:
    if isinstance(value, str):
        yield from [[(code, value)]] if re.match(r"\d{4}", value) else []
    elif "event" in value:
        yield [(code, f"le{max(value['event'])}"), (code, f"ge{min(value['event'])}")]
    else:
        period = value.get("repeat", {}).get("boundsPeriod", value)
        ends = [
            (code, f"{prefix}{period[name]}") for name, prefix in (("start", "ge"), ("end", "le")) if name in period
        ]
        yield from [ends] if ends else []


def _number(code: str, value: Any) -> Iterator[Query]:
    if not isinstance(value, dict):
        yield [(code, str(value))]
        return
    ends = [(code, f"{p}{value[name]['value']}") for name, p in (("low", "ge"), ("high", "le")) if name in value]
    yield from [ends] if ends else []


def _quantity(code: str, value: Any) -> Iterator[Query]:
    if "low" in value or "high" in value:
        yield from _number(code, value)
    elif "data" in value:
        yield [(f"{code}:missing", "false")]
    elif "value" in value:
        prefix = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}.get(value.get("comparator", ""), "")
        unit = f"|{escaped(value.get('system', ''))}|{escaped(value.get('code', value.get('unit', '')))}"
        yield [(code, f"{prefix}{value['value']}" + ("" if "currency" in value else unit))]


def _uri(code: str, value: Any) -> Iterator[Query]:
    yield [(code, escaped(value)), (f"{code}:below", escaped(value))]


def _composite(code: str, value: list[tuple[Any, list[Any]]]) -> Iterator[Query]:
    """From the first value of each part."""
    texts = [_texts(definition.type, values) for definition, values in value]
    if all(texts):
        yield [(code, "$".join(each[-1] for each in texts))]


def _texts(kind: str, values: list[Any]) -> list[str]:
    """What finds the first value without a modifier."""
    query = next(BY_KIND[kind]("", values[0]), []) if values else []
    return [text for name, text in query if not name]


def _near(code: str, value: Any) -> Iterator[Query]:
    yield [(code, f"{value['latitude']}|{value['longitude']}|1|m")]


BY_KIND: dict[str, Callable[[str, Any], Iterator[Query]]] = {
    "string": _string,
    "phonetic": _phonetic,
    "token": _token,
    "reference": _reference,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "uri": _uri,
    "composite": _composite,
    "near": _near,
    "_id": _token,
    "_lastUpdated": lambda code, value: iter([[(code, value)]]),
}
