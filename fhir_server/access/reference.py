"""The reference of scopes and roles, `docs/scopes.md`, written from what the server does.

`python -m fhir_server.access.reference docs/scopes.md`
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from fhir_server.access import roles, words
from fhir_server.access.restriction import DEFINITIONS, OWNED, WHAT_IS_PRESCRIBED, WHO_AND_WHERE
from fhir_server.access.right import Right
from fhir_server.access.scopes import CONTEXTS, PLAIN, VERSION_1, Scope
from fhir_server.fhir import definitions
from fhir_server.search.labels import SENSITIVITIES

VERBS = {
    Right.CREATE: "create",
    Right.READ: "read, vread, history; instance operations that show",
    Right.UPDATE: "update (also as create), patch",
    Right.DELETE: "delete",
    Right.SEARCH: "search, also as a step of a chain, `_has`, `_include`",
}
REACH = {
    "patient": "what is of the one patient of the token",
    "user": "all that the person may see, by role; without roles all of the tenant",
    "system": "all of the tenant; for backend services, never for people",
}
EXAMPLES = (
    "patient/*.rs",
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
    "user/MedicationRequest.cruds",
    "system/Patient.rs",
)
INTRODUCTION = """
# Scopes and roles

Written by `python -m fhir_server.access.reference docs/scopes.md` from the tables that the server decides by; a test
compares.

A scope for resources is `context/Type.rights`, perhaps with search criteria: `patient/Observation.rs?category=…`. The
type is one of R4 or `*`. Rights are letters of `cruds`, each once and in this order. Criteria are search parameters
of the type without modifiers and chains; they need one type, and a resource that is written must match them before
and after.

What a token may do is what the client asked for, is registered for, and the person's roles and choice allow, all at
once: the narrower always wins, and nothing is ever widened.
"""
COMPARTMENT = """
A `patient/` scope reaches the types of the patient compartment of R4 ({count} types; by the parameters of the
CompartmentDefinition only) and {owned}. It reads and searches, but does not write, what is about no patient:

{shared}

On every other type it gives nothing. A token with a `patient/` scope and without a patient gives nothing either; one
whose patient was deleted or merged into another is refused.
"""
ROLES = """
Roles limit `user/` and `patient/` scopes at every request, whatever the token says. `own` reaches the patients that
the person may act for and what others share with them; `all` every patient of the tenant. Several roles add up.
Groups of types stand below. What somebody is cleared for is about labelled resources: see Clearance.
"""
ROLE = ("Role", "Is", "Of", "May", "Cleared for")
CLEARANCE = """
A labelled resource is shown to whoever is cleared for its confidentiality (U, L, M, N, R, V: each clears those before
it) and for every one of its sensitivities; what has no label is N. Without roles a token is cleared for N, or for what
its claim `clearance` says; with roles for the narrower of both. `lowers` may take labels away. More is in
[Consents and labels](consent.md).
"""


def page() -> str:
    sections = (
        _prose(INTRODUCTION),
        _section("Contexts", _table(("Context", "Reaches"), ((f"`{each}/`", REACH[each]) for each in CONTEXTS))),
        _section("Rights", _table(("Letter", "Gives"), ((f"`{each}`", VERBS[each]) for each in Right))),
        _section("Version 1", _table(("Ending", "Means"), ((f"`.{v1}`", f"`.{v2}`") for v1, v2 in VERSION_1.items()))),
        _section("In plain words", _table(("Scope", "Is shown as"), _examples())),
        _section("Other scopes", _table(("Scope", "Lets the app"), _plain())),
        _section("Categories to narrow to", _table(("Type", "Criteria", "Is shown as"), _categories())),
        _section("What a patient's token reaches", _compartment()),
        _section("Roles", f"{_prose(ROLES)}\n\n{_table(ROLE, _roles())}"),
        _section("Groups of types", _table(("Group", "Types"), _groups())),
        _section("Clearance", f"{_prose(CLEARANCE)}\n\n{_table(('Group', 'Sensitivities'), _sensitivities())}"),
        _section("Roles of legacy systems", _table(("System", "Role there", "Role here"), _legacy())),
    )
    return "\n\n".join(sections) + "\n"


def _prose(text: str) -> str:
    """Each paragraph on a line of its own."""
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n"))


def _section(title: str, content: str) -> str:
    return f"## {title}\n\n{content}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(each)} |" for each in lines)


def _examples() -> Iterable[Sequence[str]]:
    return ((f"`{each}`", words.sentence(Scope.parse(each))) for each in EXAMPLES)


def _plain() -> Iterable[Sequence[str]]:
    return ((f"`{each}`", words.plain(each)) for each in sorted(PLAIN))


def _categories() -> Iterable[Sequence[str]]:
    for resource_type in sorted(definitions.resource_types()):
        scope = Scope("patient", resource_type, frozenset(Right))
        yield from ((resource_type, f"`{query}`", label) for query, label in words.categories(scope))


def _compartment() -> str:
    inside = [name for name, codes in definitions.compartment("Patient").items() if codes]
    owned = ", ".join(f"{name} by its `{parameter}`" for name, parameter in OWNED.items())
    groups = {"who and where": WHO_AND_WHERE, "what is prescribed": WHAT_IS_PRESCRIBED, "definitions": DEFINITIONS}
    shared = "\n".join(f"- {title}: {', '.join(sorted(types))}" for title, types in groups.items())
    return _prose(COMPARTMENT).format(count=len(inside), owned=owned, shared=shared)


def _roles() -> Iterable[Sequence[str]]:
    for name, row in roles.table()["roles"].items():
        may = ", ".join(f"{group} `{letters}`" for group, letters in row["may"].items())
        yield f"`{name}`", row["title"], row["of"], may, ", ".join(row.get("cleared", ("N",)))


def _groups() -> Iterable[Sequence[str]]:
    yield roles.EVERY, "every type"
    yield from ((group, ", ".join(types)) for group, types in roles.table()["types"].items())


def _sensitivities() -> Iterable[Sequence[str]]:
    return ((group, ", ".join(codes)) for group, codes in SENSITIVITIES.items())


def _legacy() -> Iterable[Sequence[str]]:
    for system, named in roles.table()["legacy"].items():
        yield from ((system, there, f"`{here}`") for there, here in named.items())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
