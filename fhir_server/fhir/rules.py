"""Constraints of the base types that take more than a line, named by their keys: `con-4` is `con_4`.

Each is told the element and the resource it stands in, and says whether the rule holds.
https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from fhir_server.fhir import references
from fhir_server.fhir.predicates import (
    Predicate,
    any_of,
    distinct,
    has,
    has_code,
)

UCUM = "http://unitsofmeasure.org"
SYSTEMS = "http://terminology.hl7.org/CodeSystem/"
ABATED = ("resolved", "remission", "inactive")
MACHINE_NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}\Z")
UNSTORED = ("batch", "transaction", "batch-response", "transaction-response")
CHOOSABLE = frozenset(("choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string", "quantity"))
ASSERTIONS = (
    "contentType", "expression", "headerField", "minimumId", "navigationLinks", "path", "requestMethod", "resource",
    "responseCode", "response", "validateProfileId",
)  # fmt: skip


def entered_in_error(resource: Any, system: str) -> bool:
    return has_code(resource.get("verificationStatus"), SYSTEMS + system, ("entered-in-error",))


def ait_1(allergy: Any, _: Any) -> bool:
    return entered_in_error(allergy, "allergyintolerance-verification") or has(allergy, "clinicalStatus")


def ait_2(allergy: Any, _: Any) -> bool:
    return not entered_in_error(allergy, "allergyintolerance-verification") or not has(allergy, "clinicalStatus")


def con_4(condition: Any, _: Any) -> bool:
    status = condition.get("clinicalStatus")
    return not has(condition, "abatement[x]") or has_code(status, SYSTEMS + "condition-clinical", ABATED)


def con_5(condition: Any, _: Any) -> bool:
    return not has(condition, "clinicalStatus") or not entered_in_error(condition, "condition-ver-status")


def app_3(appointment: Any, _: Any) -> bool:
    is_open = appointment.get("status") in ("proposed", "cancelled", "waitlist")
    return is_open or (has(appointment, "start") and has(appointment, "end"))


def obs_7(observation: Any, _: Any) -> bool:
    components = observation.get("component")
    if not components or not has(observation, "value[x]"):
        return True
    own = {(each.get("system"), each.get("code")) for each in observation.get("code", {}).get("coding", ())}
    codings = [coding for each in components for coding in each.get("code", {}).get("coding", ())]
    return own.isdisjoint((each.get("system"), each.get("code")) for each in codings)


def rng_2(element: Any, _: Any) -> bool:
    """Only quantities in the same unit can be out of order."""
    low, high = element.get("low", {}), element.get("high", {})
    if "value" not in low or "value" not in high:
        return True
    units = [(each.get("system"), each.get("code"), each.get("unit")) for each in (low, high)]
    return units[0] != units[1] or bool(low["value"] <= high["value"])


def rat_1(ratio: Any, _: Any) -> bool:
    parts = has(ratio, "numerator"), has(ratio, "denominator")
    return all(parts) or (not any(parts) and "extension" in ratio)


def in_ucum(quantity: Any, _: Any) -> bool:
    return (has(quantity, "code") or not has(quantity, "value")) and quantity.get("system", UCUM) == UCUM


def age_1(age: Any, root: Any) -> bool:
    return in_ucum(age, root) and age.get("value", 1) > 0


def cnt_3(count: Any, root: Any) -> bool:
    value = count.get("value", 0)
    is_whole = not isinstance(value, Decimal) or "." not in str(value)
    return in_ucum(count, root) and count.get("code", "1") == "1" and is_whole


def drt_1(duration: Any, _: Any) -> bool:
    return not has(duration, "code") or (duration.get("system") == UCUM and has(duration, "value"))


def ras_1(probability: Any, _: Any) -> bool:
    bounds = [probability[name] for name in ("low", "high") if name in probability]
    return all((each.get("code"), each.get("system")) == ("%", UCUM) for each in bounds)


def ras_2(prediction: Any, _: Any) -> bool:
    return bool(prediction.get("probabilityDecimal", 0) <= 100)


def bdl_7(bundle: Any, _: Any) -> bool:
    entries = [each for each in bundle.get("entry", ()) if "fullUrl" in each]
    versions = [each.get("resource", {}).get("meta", {}).get("versionId") for each in entries]
    return bundle.get("type") == "history" or distinct(
        (each["fullUrl"], version) for each, version in zip(entries, versions, strict=True)
    )


def bdl_8(entry: Any, _: Any) -> bool:
    return "/_history/" not in entry.get("fullUrl", "")


def full_url(entry: Any, bundle: Any) -> bool:
    """In a batch or transaction the resource may be without an id, or lose the one it has."""
    url = entry.get("fullUrl")
    if url is None:
        return True
    resource = entry.get("resource", {})
    is_free = bundle.get("type") in UNSTORED or "id" not in resource or not references.LITERAL.match(url)
    return references.ABSOLUTE.match(url) is not None and (
        is_free or url.endswith(f"/{resource.get('resourceType')}/{resource['id']}")
    )


def bdl_9(bundle: Any, _: Any) -> bool:
    identifier = bundle.get("identifier", {})
    return bundle.get("type") != "document" or (has(identifier, "system") and has(identifier, "value"))


def entries_have(name: str, *bundle_types: str) -> Predicate:
    """Every entry has it in these types of Bundle, and none in the others."""

    def holds(bundle: Any, _: Any) -> bool:
        expected = bundle.get("type") in bundle_types
        return all((name in each) == expected for each in bundle.get("entry", ()))

    return holds


def begins_with(bundle_type: str, resource_type: str) -> Predicate:
    def holds(bundle: Any, _: Any) -> bool:
        first = (bundle.get("entry") or [{}])[0].get("resource", {})
        return bool(bundle.get("type") != bundle_type or first.get("resourceType") == resource_type)

    return holds


def que_1(item: Any, _: Any) -> bool:
    kind = item.get("type")
    return "item" in item if kind == "group" else kind != "display" or "item" not in item


def que_5(item: Any, _: Any) -> bool:
    is_listed = has(item, "answerOption") or has(item, "answerValueSet")
    return not is_listed or item.get("type") in CHOOSABLE


def que_13(item: Any, _: Any) -> bool:
    return item.get("repeats") is True or len(item.get("initial", ())) <= 1


def parameter(parameter: Any, _: Any) -> bool:
    value, resource, part = (has(parameter, each) for each in ("value[x]", "resource", "part"))
    return not (value or resource) if part else value != resource


def tim_9(repeat: Any, _: Any) -> bool:
    when = repeat.get("when", ())
    return not has(repeat, "offset") or (bool(when) and not {"C", "CM", "CD", "CV"}.issuperset(when))


def trd_3(trigger: Any, _: Any) -> bool:
    kind = trigger.get("type", "")
    needed = {"named-event": "name", "periodic": "timing[x]"}.get(kind, "data" if kind.startswith("data-") else "type")
    return has(trigger, needed) or "type" not in trigger


def mea_1(measure: Any, root: Any) -> bool:
    stratifiers = [each for group in measure.get("group", ()) for each in group.get("stratifier", ())]
    return all(any_of("code", "description", "criteria")(each, root) != has(each, "component") for each in stratifiers)


def mrp_2(report: Any, _: Any) -> bool:
    stratifiers = [each for group in report.get("group", ()) for each in group.get("stratifier", ())]
    strata = [each for stratifier in stratifiers for each in stratifier.get("stratum", ())]
    return all(has(each, "value") != has(each, "component") for each in strata)


def nsd_1(system: Any, _: Any) -> bool:
    return system.get("kind") != "root" or all(each.get("type") != "uuid" for each in system.get("uniqueId", ()))


def nsd_2(system: Any, _: Any) -> bool:
    return distinct(each.get("type") for each in system.get("uniqueId", ()) if each.get("preferred") is True)


def tcp_1(code_system: Any, _: Any) -> bool:
    versions = code_system.get("version", ())
    return len(versions) <= 1 or all(has(each, "code") for each in versions)


def md_1(focus: Any, _: Any) -> bool:
    maximum = focus.get("max", "*")
    return maximum == "*" or (maximum.isdecimal() and Decimal(maximum) > 0)


def tst_4(metadata: Any, root: Any) -> bool:
    return any(any_of("required", "validated")(each, root) for each in metadata.get("capability", ()))


def tst_7(operation: Any, _: Any) -> bool:
    named = sum(has(operation, each) for each in ("targetId", "url", "params")) == 1
    code = operation.get("type", {}).get("code")
    return has(operation, "sourceId") or named or code in ("capabilities", "search", "transaction", "history")


def tst_5(assertion: Any, _: Any) -> bool:
    return "extension" in assertion or sum(has(assertion, each) for each in ASSERTIONS) <= 1


def tst_10(assertion: Any, root: Any) -> bool:
    compared = any_of("compareToSourceExpression", "compareToSourcePath")(assertion, root)
    return has(assertion, "compareToSourceId") == compared


def tst_12(assertion: Any, root: Any) -> bool:
    return assertion.get("direction") != "request" or not any_of("response", "responseCode")(assertion, root)


def ctm_1(participant: Any, root: Any) -> bool:
    """A reference that does not tell its type may be to a Practitioner."""
    member = participant.get("member", {})
    found = references.type_of(member.get("reference", "urn:"), root) or member.get("type")
    return not has(participant, "onBehalfOf") or found in (None, "Practitioner")


def needs_patient(scope: str) -> Predicate:
    """As published, the code system is called `something`, so that no real consent is meant."""
    return lambda consent, _: has(consent, "patient") or not has_code(consent.get("scope"), "something", (scope,))


def con_3(condition: Any, _: Any) -> bool:
    """As published, any category counts; as described, only that of the problem list."""
    is_problem = any(
        coding.get("code") == "problem-list-item"
        for category in condition.get("category", ())
        for coding in category.get("coding", ())
    )
    return has(condition, "clinicalStatus") or not is_problem or entered_in_error(condition, "condition-ver-status")


def machine_name(definition: Any, _: Any) -> bool:
    """adf-0 and the rules like it: a name that generated code can use."""
    return "name" not in definition or MACHINE_NAME.match(definition["name"]) is not None
