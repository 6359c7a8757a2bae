"""The search criteria of granular scopes, compiled to the filter that a search would use.
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from fhir_server.fhir import definitions
from fhir_server.fhir.outcome import FhirError
from fhir_server.search import registry
from fhir_server.search.blinding import Blinding
from fhir_server.search.own import Own
from fhir_server.search.parse import parse
from fhir_server.search.plan import plan

INDEXED = frozenset({"id", "tok", "str", "dat", "num", "cmp"})
"""What is known of a resource that is being written; criteria on anything else could not be checked on it."""


class InvalidCriteria(ValueError):
    """Criteria that a scope cannot carry; the message says why."""


@lru_cache(maxsize=4096)
def compiled(resource_type: str, criteria: str, blinding: Blinding | None = None) -> Mapping[str, Any]:
    """The filter of `category=http://…|laboratory`: plain parameters of the type, neither modifiers nor chains."""
    query = parse_qsl(criteria, keep_blank_values=True)
    known = definitions.search_parameters(resource_type)
    for name, value in query:
        if name not in known:
            raise InvalidCriteria(f"'{name}' is not a search parameter of {resource_type} without modifier or chain.")
        if not value:
            raise InvalidCriteria(f"'{name}' has no value.")
    try:
        with registry.using(Own(blinding=blinding)):
            wanted = plan(parse((resource_type,), query, lenient=False, base="")).criteria
    except FhirError as problem:
        raise InvalidCriteria(str(problem)) from problem
    if not INDEXED.issuperset(_fields(wanted)):
        raise InvalidCriteria(f"'{criteria}' cannot be checked on a resource that is being written.")
    return wanted


def _fields(wanted: Mapping[str, Any]) -> Iterator[str]:
    """The fields of a document that a filter asks about."""
    for name, condition in wanted.items():
        if name.startswith("$"):
            for each in condition:
                yield from _fields(each)
        else:
            yield name
