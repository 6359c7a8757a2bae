"""Bundles taken apart into entries, and put together from answers.  https://hl7.org/fhir/R4/bundle.html

Answers are joined as bytes: a body that the store holds is never parsed to be put into a Bundle.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fhir_server.fhir import json
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError, Issue, error, invalid
from fhir_server.fhir.primitives import interval_of
from fhir_server.fhir.resource import Resource, instant
from fhir_server.fhir.version import Version

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
"""https://hl7.org/fhir/R4/valueset-http-verb.html"""

Entry = dict[str, Any]


def entries(bundle: Resource) -> list[Entry]:
    """The entries of a batch or transaction; 400 where one does not say what is to be done."""
    found = bundle.get("entry", [])
    if not isinstance(found, list):
        raise error("structure", "Bundle.entry is not a list.", expression="Bundle.entry")
    for place, entry in enumerate(found):
        _check_request(entry, f"Bundle.entry[{place}]")
    return found


def _check_request(entry: Any, at: str) -> None:
    if not isinstance(entry, dict):
        raise error("structure", f"{at} is not an object.", expression=at)
    if not isinstance(entry.get("resource", {}), dict):
        raise error("structure", f"The resource of {at} is not an object.", expression=f"{at}.resource")
    request = entry.get("request")
    if not isinstance(request, dict):
        raise invalid("Every entry of a batch or transaction has a request with a method and a url.", expression=at)
    for name in ("method", "url"):
        if not isinstance(request.get(name), str):
            raise invalid(f"The request of every entry has a {name}.", expression=f"{at}.request")
    if request["method"] not in METHODS:
        raise invalid(
            f"'{request['method']}' is not a method of an entry; {', '.join(METHODS)} are.",
            expression=f"{at}.request.method",
        )


def without_resources(bundle: Resource) -> Resource:
    """The Bundle alone, for checking its own structure apart from the resources in it."""
    listed = bundle.get("entry")
    if not listed:
        return bundle
    return {**bundle, "entry": [{name: value for name, value in each.items() if name != "resource"} for each in listed]}


def request_of(entry: Entry, *, base: str, prefer: frozenset[str]) -> EntryRequest:
    """What one entry asks; its url is relative to the base, or absolute and within it."""
    request = entry["request"]
    since = request.get("ifModifiedSince")
    return EntryRequest(
        request["method"],
        _relative(request["url"], base),
        entry.get("resource"),
        entry.get("fullUrl"),
        request.get("ifMatch"),
        request.get("ifNoneMatch"),
        interval_of(since).low if since else None,
        request.get("ifNoneExist"),
        prefer,
    )


def _relative(url: str, base: str) -> str:
    if url.startswith(base) and url[len(base) : len(base) + 1] in ("", "/", "?"):
        return url[len(base) :].removeprefix("/")
    if "://" in url.partition("?")[0]:
        raise invalid(f"'{url}' is not on this server; the url of an entry is relative, or starts with {base}.")
    return url.removeprefix("/")


def located(problem: FhirError, place: int) -> FhirError:
    """The same refusal, its expressions seen from the Bundle."""
    return FhirError(within(problem.issues, place), status=problem.status, headers=problem.headers)


def within(issues: Iterable[Issue], place: int) -> list[Issue]:
    return [
        Issue(
            issue.code,
            issue.diagnostics,
            tuple(_seen_from_bundle(each, place) for each in issue.expression) or (f"Bundle.entry[{place}]",),
            issue.severity,
            issue.details,
        )
        for issue in issues
    ]


def _seen_from_bundle(expression: str, place: int) -> str:
    """`Patient.name[0]` as `Bundle.entry[3].resource.name[0]`; what already names the Bundle stays."""
    if expression.startswith("Bundle."):
        return expression
    _, dot, rest = expression.partition(".")
    return f"Bundle.entry[{place}].resource{dot}{rest}"


def response(kind: str, answers: Sequence[EntryResponse]) -> bytes:
    """A batch-response or transaction-response, its entries in the order of the request."""
    listed = b",".join(map(_answered, answers))
    return b'{"resourceType":"Bundle","type":"%s"%s}' % (kind.encode(), b',"entry":[%s]' % listed if answers else b"")


def _answered(answer: EntryResponse) -> bytes:
    said: dict[str, str] = {"status": f"{answer.status} {HTTPStatus(answer.status).phrase}"}
    if answer.location:
        said["location"] = answer.location
    if answer.etag:
        said["etag"] = answer.etag
    if answer.last_modified:
        said["lastModified"] = instant(answer.last_modified)
    head = json.encode(said)
    if answer.body is None:
        return b'{"response":%s}' % head
    if answer.media_type is not None:
        binary = {"resourceType": "Binary", "contentType": answer.media_type, "data": b64encode(answer.body).decode()}
        return b'{"resource":%s,"response":%s}' % (json.encode(binary), head)
    if answer.resource_type is None:
        return b'{"response":%s,"outcome":%s}}' % (head[:-1], answer.body)
    return b'{"resource":%s,"response":%s}' % (answer.body, head)


def history(
    versions: Sequence[Version], *, base: str, links: Iterable[tuple[str, str]], total: int | None = None
) -> bytes:
    """A history Bundle: each version with the request that made it. https://hl7.org/fhir/R4/http.html#history"""
    head: Resource = {"resourceType": "Bundle", "type": "history"}
    if total is not None:
        head["total"] = total
    head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    listed = b",".join(_superseded(version, base) for version in versions)
    return b"%s%s}" % (json.encode(head)[:-1], b',"entry":[%s]' % listed if versions else b"")


_STATUS = {"POST": "201 Created", "PUT": "200 OK", "DELETE": "204 No Content"}


def _superseded(version: Version, base: str) -> bytes:
    identity = f"{version.resource_type}/{version.resource_id}"
    resource = b'"resource":%s,' % version.body if version.body else b""
    rest = {
        "request": {
            "method": version.method,
            "url": version.resource_type if version.method == "POST" else identity,
        },
        "response": {
            "status": "201 Created" if version.version_id == 1 else _STATUS[version.method],
            "location": version.location,
            "etag": version.etag,
            "lastModified": instant(version.last_updated),
        },
    }
    return b'{"fullUrl":%s,%s%s' % (json.encode(f"{base}/{identity}"), resource, json.encode(rest)[1:])
