"""Where resources come from: a Provenance for each row and change, or for each page of rows.  https://hl7.org/fhir/R4/provenance.html

What has changed is told by the states, which are written last: a run that was killed in between tells it again, and
under the same id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from fhir_server import __version__
from fhir_server.fhir.resource import Resource
from fhir_server.mapping.context import Context
from fhir_server.mapping.convert_time import date_time
from fhir_server.mapping.declaration import PROVENANCE
from fhir_server.mapping.fault import Fault
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.model import TableMapping
from fhir_server.mapping.outcome import DELETED, Outcome

ROW, BATCH, OFF = PROVENANCE
RECORDS = frozenset({"AuditEvent", "Provenance"})
"""A table that becomes one of these is a record itself."""
Version = tuple[str, str, int]
"""Type, id and version id."""
CREATE, UPDATE, DELETE = "CREATE", "UPDATE", "DELETE"
DATA_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
US_CORE_PARTICIPANT = "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-provenance"


def mode(table: TableMapping, asked: str | None = None) -> str:
    """How a table tells where its resources come from: as asked, else as declared; nothing is told about records."""
    if any(output.resource_type in RECORDS for output in table.outputs):
        return OFF
    return asked or table.provenance


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a page in the store: versions by resource id, what is new in this run, and what was deleted."""

    versions: Mapping[str, int]
    changed: frozenset[str]
    gone: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """A row whose resources are not those that were written down."""

    outcome: Outcome
    activity: str
    targets: tuple[str, ...]
    is_new: bool
    """False where the resources were stored by a run that did not come to tell so."""


def changes(outcomes: Iterable[Outcome], stored: Stored) -> Iterator[Change]:
    """The rows that something is to be told about; records of features are no targets."""
    for outcome in outcomes:
        own = [*_written(outcome, stored), *_retired(outcome, stored)]
        if own:
            yield Change(outcome, _activity(outcome), _references(own), any(_is_new(each, stored) for each in own))
        for each in _shared(outcome, stored):
            yield Change(outcome, CREATE if each[2] == 1 else UPDATE, _references([each]), _is_new(each, stored))


def _is_new(version: Version, stored: Stored) -> bool:
    return version[1] in stored.changed or version[1] in stored.gone


def _references(found: Iterable[Version]) -> tuple[str, ...]:
    return tuple(f"{resource_type}/{resource_id}/_history/{version}" for resource_type, resource_id, version in found)


def _shared(outcome: Outcome, stored: Stored) -> Iterator[Version]:
    """What belongs to a value rather than to the row is told by itself: whichever row is the first to name a payer."""
    for draft in outcome.drafts:
        resource_type, resource_id = draft.resource["resourceType"], draft.resource["id"]
        if draft.key != outcome.key and not is_feature(resource_type):
            yield resource_type, resource_id, stored.versions[resource_id]


def _written(outcome: Outcome, stored: Stored) -> Iterator[Version]:
    for draft in outcome.drafts:
        resource_type, resource_id = draft.resource["resourceType"], draft.resource["id"]
        if is_feature(resource_type) or draft.key != outcome.key:
            continue
        version = stored.versions[resource_id]
        if version != outcome.known.get(draft.output, {}).get("resource_version"):
            yield resource_type, resource_id, version


def _retired(outcome: Outcome, stored: Stored) -> Iterator[Version]:
    for state in outcome.retired:
        if state["resource_id"] in stored.gone and not is_feature(state["resource_type"]):
            yield state["resource_type"], state["resource_id"], stored.gone[state["resource_id"]]


def _activity(outcome: Outcome) -> str:
    if outcome.status == DELETED or outcome.is_removed:
        return DELETE
    return UPDATE if any(state.get("resource_id") for state in outcome.known.values()) else CREATE


@dataclass(frozen=True)
class Origins:
    """What every Provenance of a run says alike."""

    base: str
    context: Context
    recorded: datetime
    asked: str | None = None
    """The operator's word instead of the declarations'."""

    @cached_property
    def device(self) -> Resource:
        """The mapping engine. https://hl7.org/fhir/R4/device.html"""
        return {
            "resourceType": "Device",
            "id": self.context.ids.of("mapping-engine/Device"),
            "status": "active",
            "deviceName": [{"name": "fhir-server mapping engine", "type": "model-name"}],
            "type": {"text": "Mapping engine"},
            "version": [{"value": __version__}],
        }

    def of(
        self, table: TableMapping, found: Sequence[Change], run_id: str, organization: str | None
    ) -> list[tuple[Change, Resource]]:
        """A Provenance for each change, or one for the changes of each kind."""
        about = _About(self, table, organization)
        if mode(table, self.asked) == ROW:
            return [(change, about.row(change)) for change in found]
        kinds = {
            activity: [each for each in found if each.activity == activity] for activity in (CREATE, UPDATE, DELETE)
        }
        return [(some[0], about.batch(activity, some, run_id)) for activity, some in kinds.items() if some]


class _About:
    """One table of a run."""

    def __init__(self, origins: Origins, table: TableMapping, organization: str | None):
        self.origins, self.table = origins, table
        self.system = f"{origins.base}/legacy/{table.source}/{table.table}"
        self.mapping = f"mapping={table.name}@{table.version}"
        self.recorded = origins.recorded.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.organization = organization
        self.agents = list(_agents(f"Device/{origins.device['id']}", organization))
        self.meta: Resource = {"tag": [{"system": f"{origins.base}/CodeSystem/legacy-source", "code": table.source}]}
        if organization:
            self.meta["profile"] = [US_CORE]

    def row(self, change: Change) -> Resource:
        outcome = change.outcome
        what = {
            "identifier": {"system": self.system, "value": outcome.key},
            "display": f"{self.table.name} pk={outcome.key} {self.mapping}",
        }
        occurred = outcome.change.get("occurred") or self._occurred(outcome.changed_at)
        reason = [{"text": outcome.amendment}] if outcome.amendment else outcome.change.get("reason")
        return {
            **self._head(change.targets, change.targets),
            **({"occurredDateTime": occurred} if occurred else {}),
            **self._rest(change.activity, what, list(_author(outcome.change.get("author"), self.organization))),
            **({"reason": reason} if reason else {}),
        }

    def batch(self, activity: str, some: Sequence[Change], run_id: str) -> Resource:
        """The rows of a page that were created, updated or deleted; each is named by its resources."""
        targets = [target for change in some for target in change.targets]
        what = {
            "identifier": {"system": f"{self.origins.base}/mapping-run", "value": run_id},
            "display": f"{self.table.name} rows={len(some)} {self.mapping}",
        }
        return {**self._head(targets, targets[:1]), **self._rest(activity, what)}

    def _head(self, targets: Iterable[str], named: Iterable[str]) -> Resource:
        """The id is a function of what was written: versions are written once."""
        name = f"{self.table.source}/{self.table.table}/Provenance/{'|'.join(sorted(named))}"
        return {
            "resourceType": "Provenance",
            "id": self.origins.context.ids.of(name),
            "meta": self.meta,
            "target": [{"reference": target} for target in targets],
        }

    def _rest(self, activity: str, what: Resource, authors: Sequence[Resource] = ()) -> Resource:
        return {
            "recorded": self.recorded,
            "activity": {"coding": [{"system": DATA_OPERATION, "code": activity}]},
            "agent": [self.agents[0], *authors, *self.agents[1:]],
            "entity": [{"role": "source", "what": what}],
        }

    def _occurred(self, changed_at: str | None) -> str | None:
        """A time of change that is no time is nothing to stop a row for, and was a finding where it is mapped."""
        try:
            return date_time(changed_at, self.origins.context) if changed_at else None
        except Fault:
            return None


def _agents(device: str, organization: str | None) -> Iterator[Resource]:
    """Who put it together, and who passed it on. http://hl7.org/fhir/us/core/StructureDefinition/us-core-provenance"""
    engine = {"reference": device}
    yield {"type": _concept(PARTICIPANT, "assembler", "Assembler"), "who": engine, **_behalf(engine, organization)}
    if organization:
        yield {
            "type": _concept(US_CORE_PARTICIPANT, "transmitter", "Transmitter"),
            "who": {"reference": organization},
        }


def _author(who: Resource | None, organization: str | None) -> Iterator[Resource]:
    """Who changed the row in the legacy system."""
    if who:
        yield {"type": _concept(PARTICIPANT, "author", "Author"), "who": who, **_behalf(who, organization)}


def _behalf(who: Resource, organization: str | None) -> Resource:
    """US Core provenance-1: a Practitioner or Device acts for an organization; a patient acts for nobody else."""
    acts = who.get("reference", "").startswith(("Practitioner/", "PractitionerRole/", "Device/"))
    return {"onBehalfOf": {"reference": organization}} if organization and acts else {}


def _concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}
