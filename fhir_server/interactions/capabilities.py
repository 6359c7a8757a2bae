"""capabilities: what this server does, said by what runs.  https://hl7.org/fhir/R4/http.html#capabilities

Interactions come from the table, search parameters from the registry that search itself uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

from fhir_server.fhir import definitions, json
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import bad_value, not_supported
from fhir_server.fhir.resource import Resource, instant
from fhir_server.interactions import patch
from fhir_server.interactions.context import APPEND_ONLY, Context, Interaction
from fhir_server.interactions.operations.operation import LEVELS, Operation
from fhir_server.interactions.operations.table import OPERATIONS
from fhir_server.search import compartment, include, registry
from fhir_server.search.filter import FILTER
from fhir_server.search.own import Own, ParameterSet

_MODES = ("full", "normative")
_SECURITY = {
    "service": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                    "display": "SMART-on-FHIR",
                }
            ],
            "text": "OAuth2 bearer tokens with the scopes of SMART App Launch",
        }
    ],
    "description": "Every request but this one needs an access token of this tenant, with a scope for what it does.",
}
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_ENDPOINTS = ("authorize", "token", "introspect", "revoke", "register")
_FILTER = {"name": FILTER, "definition": "http://hl7.org/fhir/SearchParameter/filter", "type": "special"}
_LIST = {"name": "_list", "type": "string", "documentation": "The id of a List: its entries are meant."}
"""R4 describes it and has no SearchParameter for it. https://hl7.org/fhir/R4/search.html#list"""
_WORDS = [
    {"name": "_text", "definition": "http://hl7.org/fhir/SearchParameter/DomainResource-text", "type": "string"},
    {"name": "_content", "definition": "http://hl7.org/fhir/SearchParameter/Resource-content", "type": "string"},
]
"""Where the tenant has words indexed."""

_STARTED = datetime.now(UTC)


async def run(ctx: Context, entry: EntryRequest) -> EntryResponse:
    mode = dict(entry.query).get("mode", "full")
    if mode == "terminology":
        raise not_supported("There is no TerminologyCapabilities; the CapabilityStatement lists what there is.")
    if mode not in _MODES:
        raise bad_value(f"mode is '{mode}'; it can be {' or '.join(_MODES)}.")
    ready = ctx.repo.tenant.own.ready
    head = json.encode(_head(ctx.base, ctx.repo.tenant.title or ctx.repo.tenant.name))
    rest = _rest(ctx.interactions, *map(ctx.setting, ("versioning", "conditional_delete", "words")), ready)
    body = b'%s,"rest":[{"security":%s,%s]}' % (head[:-1], _security(ctx), rest[1:])
    return EntryResponse(200, body, resource_type="CapabilityStatement")


def _security(ctx: Context) -> bytes:
    """With the endpoints of the tenant, for applications of SMART 1.

    https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#smart-on-fhir-oauth-authorization-endpoints-and-capabilities
    """
    name = ctx.repo.tenant.name
    place = f"{ctx.base.removesuffix(f'/fhir/{name}')}/auth/{name}"
    uris = [{"url": url, "valueUri": f"{place}/{url}"} for url in _ENDPOINTS]
    return json.encode({"extension": [{"url": _OAUTH_URIS, "extension": uris}], **_SECURITY})


def _head(base: str, title: str) -> Resource:
    """What differs from tenant to tenant."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(_STARTED),
        "kind": "instance",
        "software": {"name": "fhir-server", "version": _release()},
        "implementation": {"description": title, "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json", "application/fhir+xml", "xml"],
        "patchFormat": [*patch.FORMATS, "application/fhir+json", "application/fhir+xml"],
    }


@cache
def _release() -> str:
    return version("fhir-server")


@lru_cache(maxsize=16)
def _rest(
    interactions: tuple[Interaction, ...], versioning: str, conditional_delete: str, words: str, ready: ParameterSet
) -> bytes:
    """The same for every tenant of the same settings and search parameters, and long: built once."""
    with registry.using(Own(added=ready)):
        resources = [_resource(each, interactions) for each in sorted(definitions.resource_types())]
    for each in resources:
        each["versioning"] = versioning
        if "delete" in [row["code"] for row in each["interaction"]]:
            each["conditionalDelete"] = conditional_delete
    return json.encode(
        {
            "mode": "server",
            "resource": resources,
            "interaction": [{"code": code} for code in _codes(row for row in interactions if row.on_system)],
            "searchParam": [
                *(each for each in _parameters("Basic") if each["name"].startswith("_")),
                _FILTER,
                _LIST,
                *(_WORDS if words == "on" else []),
            ],
            "compartment": [f"http://hl7.org/fhir/CompartmentDefinition/{each.lower()}" for each in compartment.NAMES],
            "operation": [_operation(each) for each in OPERATIONS if LEVELS[0] in each.levels],
        }
    )


def _resource(resource_type: str, interactions: tuple[Interaction, ...]) -> Resource:
    rows = [row for row in interactions if "{resource_type}" in row.path and row.applies_to(resource_type)]
    return {
        "type": resource_type,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{resource_type}",
        "interaction": [{"code": code} for code in _codes(rows)],
        "versioning": "versioned",
        "readHistory": True,
        **_conditional(_codes(rows)),
        "referencePolicy": ["literal"],
        "searchInclude": ["*", *(f"{resource_type}:{code}" for code in include.references(resource_type))],
        "searchRevInclude": ["*", *include.referring(resource_type)],
        "searchParam": _parameters(resource_type),
        "operation": _operations(resource_type),
    }


def _operations(resource_type: str) -> list[dict[str, str]]:
    """https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.resource.operation"""
    called = [each for each in OPERATIONS if each.applies_to(resource_type) and set(each.levels) - {LEVELS[0]}]
    return [_operation(each) for each in called if not (each.changes and resource_type in APPEND_ONLY)]


def _operation(operation: Operation) -> dict[str, str]:
    return {"name": operation.code, "definition": operation.url}


def _parameters(resource_type: str) -> list[dict[str, str]]:
    return [
        {"name": code, "definition": parameter.url, "type": parameter.type}
        for code, parameter in registry.supported(resource_type).items()
    ]


def _conditional(codes: list[str]) -> dict[str, Any]:
    return {
        "updateCreate": "update" in codes,
        "conditionalCreate": "create" in codes,
        "conditionalRead": "full-support",
        "conditionalUpdate": "update" in codes,
        "conditionalDelete": "single" if "delete" in codes else "not-supported",
    }


def _codes(rows: Iterable[Interaction]) -> list[str]:
    """Each code once, in the order of the table."""
    return list(dict.fromkeys(row.code for row in rows))
