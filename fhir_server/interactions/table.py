"""The table of interactions, and the one dispatch for HTTP and bundles.  https://hl7.org/fhir/R4/http.html#summary"""

from __future__ import annotations

from typing import Final

from fhir_server.access import break_glass
from fhir_server.access.restriction import restriction
from fhir_server.access.right import Right
from fhir_server.fhir import definitions
from fhir_server.fhir.entry import EntryRequest, EntryResponse
from fhir_server.fhir.outcome import FhirError, bad_value, error, invalid, not_supported
from fhir_server.fhir.resource import ID
from fhir_server.interactions import (
    batch,
    capabilities,
    create,
    delete,
    history,
    idempotency,
    later,
    patch,
    read,
    search,
    transaction,
    update,
    vread,
)
from fhir_server.interactions.context import Context, Interaction, Limits
from fhir_server.interactions.operations import table as operations
from fhir_server.search import compartment, registry
from fhir_server.store.repository import Repository

TYPE: Final = "{resource_type}"
INSTANCE: Final = "{resource_type}/{resource_id}"
COMPARTMENT: Final = "{compartment_type}/{compartment_id}"

INTERACTIONS: Final = (
    Interaction("read", "GET", INSTANCE, Right.READ, read.run),
    Interaction("vread", "GET", f"{INSTANCE}/_history/{{version_id}}", Right.READ, vread.run),
    Interaction("update", "PUT", INSTANCE, Right.UPDATE, update.run),
    Interaction("update", "PUT", TYPE, Right.UPDATE, update.conditional),
    Interaction("patch", "PATCH", INSTANCE, Right.UPDATE, patch.run),
    Interaction("patch", "PATCH", TYPE, Right.UPDATE, patch.conditional),
    Interaction("delete", "DELETE", INSTANCE, Right.DELETE, delete.run),
    Interaction("delete", "DELETE", TYPE, Right.DELETE, delete.conditional),
    Interaction("history-instance", "GET", f"{INSTANCE}/_history", Right.READ, history.of_instance),
    Interaction("history-type", "GET", f"{TYPE}/_history", Right.READ, history.of_type),
    Interaction("history-system", "GET", "_history", Right.READ, history.of_system),
    Interaction("create", "POST", TYPE, Right.CREATE, create.run),
    Interaction("search-type", "GET", TYPE, Right.SEARCH, search.by_type),
    Interaction("search-type", "POST", f"{TYPE}/_search", Right.SEARCH, search.by_type),
    Interaction("search-type", "GET", f"{COMPARTMENT}/{TYPE}", Right.SEARCH, search.in_compartment),
    Interaction("search-type", "POST", f"{COMPARTMENT}/{TYPE}/_search", Right.SEARCH, search.in_compartment),
    Interaction("search-system", "GET", f"{COMPARTMENT}/*", Right.SEARCH, search.whole_compartment),
    Interaction("search-system", "POST", f"{COMPARTMENT}/_search", Right.SEARCH, search.whole_compartment),
    Interaction("search-system", "GET", "", Right.SEARCH, search.by_system),
    Interaction("search-system", "POST", "_search", Right.SEARCH, search.by_system),
    Interaction("capabilities", "GET", "metadata", None, capabilities.run),
    Interaction("batch", "POST", "", None, batch.run),
    Interaction("transaction", "POST", "", None, transaction.run),
)

_BUNDLED: Final = {row.code: row for row in INTERACTIONS if row.path == "" and row.method == "POST"}

_RELATIVE: Final = frozenset({".", ".."})

Shape = tuple[str | None, ...]


async def perform(ctx: Context, entry: EntryRequest) -> EntryResponse:
    """Answer one entry, whether it came by HTTP or inside a Bundle."""
    interaction, path = resolve(entry)
    return await perform_as(ctx, entry, interaction, path)


async def perform_as(
    ctx: Context, entry: EntryRequest, interaction: Interaction, path: dict[str, str]
) -> EntryResponse:
    """Answer an entry whose row is known; one that may be repeated is done once."""
    _check_right(ctx, interaction, path)
    with registry.using(ctx.repo.tenant.own):
        return await _performed(ctx, entry, interaction, path)


def _check_right(ctx: Context, interaction: Interaction, path: dict[str, str]) -> None:
    """403 from the token alone, before a body is judged: what is wrong with it is told to who may send it."""
    resource_type = path.get("resource_type")
    refused = break_glass.refusal(ctx.repo.caller, path)
    if refused is not None:
        raise refused
    if interaction.right is not None and resource_type is not None:
        restriction(ctx.repo.caller, resource_type, interaction.right)


async def _performed(
    ctx: Context, entry: EntryRequest, interaction: Interaction, path: dict[str, str]
) -> EntryResponse:
    bundle = later.deferred(entry, interaction)
    if bundle is not None:
        return await later.accepted(ctx, bundle)
    if entry.idempotency_key is None or interaction.code not in idempotency.REPEATABLE:
        return await interaction.run(ctx, entry, **path)
    return await idempotency.once(ctx, entry, lambda inside: interaction.run(inside, entry, **path))


def context(repo: Repository, *, base: str, cursor_key: bytes, limits: Limits | None = None) -> Context:
    """What `perform` needs for one caller."""
    return Context(repo, base, cursor_key, INTERACTIONS, resolve, perform, limits or Limits())


def resolve(entry: EntryRequest) -> tuple[Interaction, dict[str, str]]:
    """The row of an entry and the parts of its path; 400, 404, 405 or 501 where there is none."""
    segments = entry.path.split("/")
    shape = tuple(None if _variable(segment) else segment for segment in segments)
    known = _ROUTES.get(shape)
    if known is None or not _RELATIVE.isdisjoint(segments):
        raise _unknown_path(entry.path, segments, shape)
    names, by_method = known
    path = {name: segment for name, segment in zip(names, segments, strict=True) if name is not None}
    _check(path)
    resource_type = path.get("resource_type")
    interaction = by_method.get("GET" if entry.method == "HEAD" else entry.method)
    if interaction is None or not interaction.applies_to(resource_type):
        raise _wrong_method(entry, [method for method, row in by_method.items() if row.applies_to(resource_type)])
    return (_of_bundle(entry) if shape == ("",) and entry.method == "POST" else interaction), path


def _variable(segment: str) -> bool:
    """Whether a segment is a type, an id or a version rather than a word of the URL scheme."""
    return segment[:1] not in ("", "_", "$") and segment not in ("metadata", "*")


def _routes() -> dict[Shape, tuple[tuple[str | None, ...], dict[str, Interaction]]]:
    """By the shape of a path: the names of its parts, and its rows by method."""
    found: dict[Shape, tuple[tuple[str | None, ...], dict[str, Interaction]]] = {}
    for row in (*INTERACTIONS, *operations.ROWS, *later.ROWS):
        names = tuple(part.strip("{}") if part.startswith("{") else None for part in row.path.split("/"))
        shape = tuple(None if name else part for name, part in zip(names, row.path.split("/"), strict=True))
        found.setdefault(shape, (names, {}))[1][row.method] = row
    return found


_ROUTES: Final = _routes()


def _check(path: dict[str, str]) -> None:
    resource_type = path.get("resource_type")
    if resource_type is not None and resource_type not in definitions.resource_types():
        raise _unknown_type(resource_type)
    name = path.get("compartment_type")
    if name is not None and name not in compartment.NAMES:
        raise _no_compartment(name)
    resource_id = path.get("resource_id", path.get("compartment_id"))
    if resource_id is not None and not ID.match(resource_id):
        raise bad_value(f"'{resource_id}' is not a logical id: 1 to 64 letters, digits, '-' and '.' are.")


def _no_compartment(name: str) -> FhirError:
    if name not in definitions.resource_types():
        return _unknown_type(name)
    return not_supported(f"There is no {name} compartment. There is one of {', '.join(compartment.NAMES)}.", status=404)


def _of_bundle(entry: EntryRequest) -> Interaction:
    """Batch or transaction, as the posted Bundle says."""
    posted = entry.resource or {}
    if posted.get("resourceType") != "Bundle":
        raise invalid(f"What is posted to the base is a Bundle, not {posted.get('resourceType') or 'nothing'}.")
    kind = posted.get("type")
    row = _BUNDLED.get(kind) if isinstance(kind, str) else None
    if row is None:
        raise invalid(
            f"A Bundle posted to the base is a batch or a transaction; this one has the type {kind!r}.",
            expression="Bundle.type",
        )
    return row


def _unknown_type(resource_type: str) -> FhirError:
    return not_supported(f"'{resource_type}' is not a resource type of FHIR R4.", status=404)


def _unknown_path(path: str, segments: list[str], shape: Shape) -> FhirError:
    """Why no row has this shape: what the next capabilities bring is refused by name."""
    if not {"", *_RELATIVE}.isdisjoint(segments):
        return invalid(f"The path '{path}' has an empty or relative segment.")
    if segments[-1].startswith("$"):
        return not_supported(f"The operation {segments[-1]} is not supported.", status=501)
    if shape[0] is None and segments[0] not in definitions.resource_types():
        return _unknown_type(segments[0])
    return error("not-found", f"There is nothing at '{path}'.")


def _wrong_method(entry: EntryRequest, allowed: list[str]) -> FhirError:
    methods = sorted([*allowed, "HEAD"] if "GET" in allowed else allowed)
    return not_supported(
        f"{entry.method} cannot be used on '{entry.path}'; {', '.join(methods)} can.",
        status=405,
        headers=[("Allow", ", ".join(methods))],
    )
