"""The length of a text, and the least and the greatest value.  https://hl7.org/fhir/R4/elementdefinition.html"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhir_server.fhir.profiles.items import Item
from fhir_server.fhir.profiles.place import Place
from fhir_server.fhir.profiles.rules import ABSENT, Node


def check(node: Node, item: Item, place: Place) -> None:
    at, value = item.expression, item.value
    if node.length is not None and isinstance(value, str) and len(value) > node.length:
        place.fault(node, at, "value", f"'{at}' has {len(value)} characters; it may have {node.length}.")
    if node.least is not ABSENT and _order(value, node.least) == -1:
        place.fault(node, at, "value", f"'{at}' is {value}; it must be at least {node.least}.")
    if node.most is not ABSENT and _order(value, node.most) == 1:
        place.fault(node, at, "value", f"'{at}' is {value}; it may be at most {node.most}.")


def _order(value: Any, limit: Any) -> int:
    """-1, 0 or 1; 0 also where the two cannot be compared, such as dates of different precision."""
    numbers = isinstance(value, int | Decimal) and isinstance(limit, int | Decimal)
    texts = isinstance(value, str) and isinstance(limit, str) and len(value) == len(limit)
    return (value > limit) - (value < limit) if numbers or texts else 0
