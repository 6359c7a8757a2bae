"""Whether an answer is the one that a row expects; each key of `expect` is one check."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.conformance.site import Answer


def check(answer: Answer, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        assert _CHECKS[name](answer, value), f"{name}: expected {value!r}, got {answer.status} {answer.text[:2000]}"


def _status(answer: Answer, expected: Any) -> bool:
    return answer.status in (expected if isinstance(expected, list) else [expected])


def _issues(answer: Answer) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (answer.body or {}).get("issue", [])
    return listed if (answer.body or {}).get("resourceType") == "OperationOutcome" else []


def _expression(answer: Answer, expected: str) -> bool:
    return any(expected in issue.get("expression", ()) for issue in _issues(answer))


def _says(answer: Answer, expected: str) -> bool:
    return any(expected in issue["diagnostics"] for issue in _issues(answer))


def _headers(answer: Answer, expected: dict[str, str]) -> bool:
    return all(re.search(pattern, answer.headers.get(name, "")) for name, pattern in expected.items())


def _matches(found: Any, expected: Any) -> bool:
    """Every part that is expected is there; nothing is said about the rest."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(_matches(found.get(name), each) for name, each in expected.items())
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(_matches, found, expected))
    return bool(found == expected)


def _matched(answer: Answer, mode: str = "match") -> list[str]:
    """Ids of the matches, or of the versions of a history, in order; or of what is included."""
    entries = (answer.body or {}).get("entry", [])
    found = [entry for entry in entries if entry.get("search", {}).get("mode", "match") == mode]
    return [entry["fullUrl"].rpartition("/")[2] for entry in found]


def _linked(answer: Answer, relation: str) -> str | None:
    urls = [link["url"] for link in (answer.body or {}).get("link", []) if link["relation"] == relation]
    return urls[0] if urls else None


_CHECKS: dict[str, Callable[[Answer, Any], bool]] = {
    "status": _status,
    "issue": lambda answer, code: any(issue["code"] == code for issue in _issues(answer)),
    "expression": _expression,
    "says": _says,
    "headers": _headers,
    "without_headers": lambda answer, names: not any(name in answer.headers for name in names),
    "body": lambda answer, expected: _matches(answer.body, expected),
    "lacks": lambda answer, names: not any(name in answer.body for name in names),
    "ids": lambda answer, ids: sorted(_matched(answer)) == sorted(ids),
    "included": lambda answer, ids: sorted(_matched(answer, "include")) == sorted(ids),
    "ordered": lambda answer, ids: _matched(answer) == ids,
    "total": lambda answer, total: (answer.body or {}).get("total") == total,
    "more": lambda answer, more: (_linked(answer, "next") is not None) == more,
    "self": lambda answer, pattern: re.search(pattern, _linked(answer, "self") or "") is not None,
    "statuses": lambda answer, found: [each["response"]["status"][:3] for each in answer.body["entry"]] == found,
    "hides": lambda answer, texts: not any(text in answer.text for text in texts),
}
