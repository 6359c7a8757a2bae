"""What security labels and consents hide from a caller, put into the one restriction.

https://hl7.org/fhir/R4/security-labels.html https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fhir_server.access import roles
from fhir_server.access.caller import BREAK_GLASS, Caller
from fhir_server.access.denials import Denials, in_compartment
from fhir_server.access.right import Right
from fhir_server.fhir.outcome import forbidden

Filter = Mapping[str, Any]

LABELS: Final = "labels"
CONSENTS: Final = "consents"
GUARDS: Final = frozenset({LABELS, CONSENTS})
"""What a tenant may have; of what it has none, nothing is asked and nothing is looked for."""

NOTHING: Final[Filter] = {"t": ""}
"""No document has this tenant. One exclusion alone would be looked for in an index, from its far ends; two are not."""


def concealed(caller: Caller, resource_type: str, right: Right, guards: frozenset[str]) -> Filter:
    """A filter that leaves out what of a type is hidden; `{}` where nothing is."""

    def work() -> list[Filter]:
        return [*_labelled(caller, guards), *_everywhere(caller, resource_type, right, guards), *own()]

    def own() -> list[Filter]:
        return _of_type(caller, resource_type, right, guards)

    return _kept(caller, resource_type, right, guards, work)


def shared(caller: Caller, right: Right, guards: frozenset[str]) -> Filter:
    """The same as far as it is the same for every type: said once, however many types are asked about."""

    def work() -> list[Filter]:
        return [*_labelled(caller, guards), *([] if _keeps(caller) else _everywhere(caller, "Patient", right, guards))]

    return _kept(caller, "", right, guards, work)


def special(caller: Caller, resource_type: str, right: Right, guards: frozenset[str]) -> Filter:
    """The rest, of one type."""

    def work() -> list[Filter]:
        more = _everywhere(caller, resource_type, right, guards) if _keeps(caller) else []
        return [*more, *_of_type(caller, resource_type, right, guards)]

    return _kept(caller, f"{resource_type}*", right, guards, work)


def _kept(caller: Caller, name: str, right: Right, guards: frozenset[str], work: Callable[[], list[Filter]]) -> Filter:
    """Worked out once for a caller, who is another one as soon as a Consent is."""
    if not guards or caller.unbound:
        return {}
    known: Filter | None = caller.concealing.get((name, right, guards))
    if known is None:
        found = work()
        known = caller.concealing[name, right, guards] = {"$nor": [*found, NOTHING]} if found else {}
    return known


def _keeps(caller: Caller) -> bool:
    """Whether from some types nothing is hidden that is from others."""
    return bool(roles.administered(caller.roles or ()))


def _labelled(caller: Caller, guards: frozenset[str]) -> list[Filter]:
    return _but(caller.cleared.concealed(), caller.selves) if LABELS in guards else []


def _everywhere(caller: Caller, resource_type: str, right: Right, guards: frozenset[str]) -> list[Filter]:
    denials = _denials(caller, resource_type, guards)
    return _but(denials.everywhere(right), _exempt(caller)) if denials and in_compartment(resource_type) else []


def _of_type(caller: Caller, resource_type: str, right: Right, guards: frozenset[str]) -> list[Filter]:
    denials = _denials(caller, resource_type, guards)
    return _but(denials.of_type(resource_type, right), _exempt(caller)) if denials else []


def _denials(caller: Caller, resource_type: str, guards: frozenset[str]) -> Denials | None:
    """Nobody gets past them by not having been asked about."""
    if CONSENTS not in guards:
        return None
    if caller.denials is None:
        raise forbidden("What the consents of this tenant forbid has not been looked up for this caller.")
    return None if resource_type in roles.administered(caller.roles or ()) else caller.denials


def _exempt(caller: Caller) -> tuple[str, ...]:
    """Patients whose consents do not bind: the person's own, and the one for whom the glass was broken."""
    broken = (caller.patient,) if caller.purpose == BREAK_GLASS and caller.patient else ()
    return (*caller.selves, *broken)


def _but(found: Sequence[Filter], patients: tuple[str, ...]) -> list[Filter]:
    """A person's own record is shown whoever else is in it and whatever it is labelled."""
    own = {"cmp": {"$nin": [f"Patient/{each}" for each in patients]}}
    return [{"$and": [each, own]} for each in found] if patients else list(found)


def without(filter_: Filter, hidden: Filter) -> Filter:
    """Both hold; nothing of either is overwritten."""
    if not filter_ or not hidden:
        return filter_ or hidden
    return {"$and": [filter_, hidden]} if "$nor" in filter_ else {**filter_, **hidden}
