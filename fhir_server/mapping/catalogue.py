"""Everything declared for one source system: its tables, and the maps, systems and profiles that they use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from fhir_server.mapping import declaration, document, maps, profiles, sums, systems, writable
from fhir_server.mapping.ciphers import SCHEMES
from fhir_server.mapping.maps import ConceptMap
from fhir_server.mapping.model import Output, TableMapping, output_leaves
from fhir_server.mapping.problem import MappingError, Problem, refuse, suggestion
from fhir_server.mapping.profiles import Profile
from fhir_server.mapping.sums import Sum
from fhir_server.mapping.systems import Systems
from fhir_server.mapping.writable import Writable

SOURCE_FILE = "source.yaml"
BLOCKS_FILE = "blocks.yaml"
"""Blocks that the declarations of every source may use."""
DEFAULT_BASE = "https://fhir-server.example"
RECORDED, METRIC = "recorded", "metric"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What `mappings/` says about a source; `documented` are the tables that its documentation names, in load order."""

    source: str
    title: str
    base: str
    documented: tuple[str, ...]
    tables: Mapping[str, TableMapping]
    maps: Mapping[str, ConceptMap]
    systems: Systems
    profiles: Mapping[str, Profile]
    keys: Mapping[str, str] = field(default_factory=dict)
    """How values of each key class are sealed."""
    organization: str | None = None
    """The table whose only row of a tenant is the organization that the tenant is."""
    writeback: Mapping[str, Writable] = field(default_factory=dict)
    """What goes back into the source, by table."""
    units: str = RECORDED
    """As measurements were recorded, or `metric`."""
    sums: tuple[Sum, ...] = ()
    """Amounts that are compared account by account."""

    def in_order(self) -> Iterator[TableMapping]:
        """Declarations in load order: parents before what refers to them."""
        yield from (self.tables[name] for name in self.documented if name in self.tables)

    def output(self, resource_type: str, written: str) -> Output | None:
        """What `reference(Type, table#label)` names; None while the table has no declaration."""
        table, _, label = written.partition("#")
        name = f"{resource_type}#{label}" if label else resource_type
        outputs = self.tables[table].outputs if table in self.tables else ()
        return next((each for each in outputs if each.name == name), None)


def sources() -> tuple[str, ...]:
    """The source systems that have declarations."""
    return tuple(sorted(each.name for each in _root().iterdir() if each.joinpath(SOURCE_FILE).is_file()))


def load(source: str, *, base: str = DEFAULT_BASE, root: Traversable | None = None) -> Catalogue:
    """The declarations of a source; MappingError where a file cannot be read."""
    root = root or _root()
    if not root.joinpath(source, SOURCE_FILE).is_file():
        known = ", ".join(each.name for each in root.iterdir() if each.joinpath(SOURCE_FILE).is_file())
        raise refuse(f"{source}/{SOURCE_FILE}", 1, f"There is no source '{source}'. Known: {known}.")
    known_systems = {"base": base, **systems.read(_text(root, "systems.yaml"), "systems.yaml", base)}
    about = document.read(_text(root, f"{source}/{SOURCE_FILE}"), f"{source}/{SOURCE_FILE}")
    return Catalogue(
        source=source,
        title=document.text(about.entries["title"], SOURCE_FILE, "title"),
        base=base,
        documented=document.texts(about.entries["tables"], SOURCE_FILE, "tables"),
        keys=_keys(about, f"{source}/{SOURCE_FILE}"),
        organization=_organization(about, f"{source}/{SOURCE_FILE}"),
        writeback=_writeback(root, source),
        sums=_sums(about, f"{source}/{SOURCE_FILE}"),
        tables=_tables(root, source),
        maps=_maps(root, known_systems),
        systems=known_systems,
        profiles=profiles.read(_text(root, "profiles.yaml"), "profiles.yaml"),
    )


def _keys(about: document.Table, file: str) -> Mapping[str, str]:
    """The part `keys` of a source: each class of its encrypted columns, and the scheme."""
    if "keys" not in about.entries:
        return {}
    part = document.table(about.entries["keys"], file, "keys")
    found = {name: document.text(scheme, file, f"The scheme of {name}") for name, scheme in part.entries.items()}
    for name, scheme in found.items():
        if scheme not in SCHEMES:
            raise refuse(file, part.lines[name], f"'{scheme}' is no scheme.{suggestion(scheme, SCHEMES)}")
    return found


def _organization(about: document.Table, file: str) -> str | None:
    """The part `organization` of a source: one of its tables."""
    if "organization" not in about.entries:
        return None
    name = document.text(about.entries["organization"], file, "organization")
    known = document.texts(about.entries["tables"], file, "tables")
    if name not in known:
        raise refuse(file, about.lines["organization"], f"There is no table '{name}'.{suggestion(name, known)}")
    return name


def _writeback(root: Traversable, source: str) -> Mapping[str, Writable]:
    file = f"{source}/{writable.FILE}"
    return writable.read(_text(root, file), file) if root.joinpath(source, writable.FILE).is_file() else {}


def _sums(about: document.Table, file: str) -> tuple[Sum, ...]:
    """The part `sums` of a source, by table."""
    if "sums" not in about.entries:
        return ()
    known = document.texts(about.entries["tables"], file, "tables")
    return sums.read(document.table(about.entries["sums"], file, "sums"), file, known)


def _root() -> Traversable:
    return files("mappings")


def _text(root: Traversable, path: str) -> str:
    return root.joinpath(*PurePosixPath(path).parts).read_text("utf-8")


def _yaml(root: Traversable, folder: str) -> list[str]:
    return sorted(each.name for each in root.joinpath(folder).iterdir() if each.name.endswith(".yaml"))


def _tables(root: Traversable, source: str) -> Mapping[str, TableMapping]:
    tables: dict[str, TableMapping] = {}
    shared = _text(root, BLOCKS_FILE) if root.joinpath(BLOCKS_FILE).is_file() else ""
    faults: list[Problem] = []
    for name in _yaml(root, source):
        if name in (SOURCE_FILE, writable.FILE):
            continue
        file = f"{source}/{name}"
        try:
            found = declaration.read(_text(root, file), file, shared)
        except MappingError as fault:
            faults.extend(fault.problems)
            continue
        if (found.source, f"{found.table}.yaml") != (source, name):
            faults.append(
                Problem(file, found.lines["source"], f"This file declares {found.name}; its name says otherwise.")
            )
        tables[found.table] = found
    if faults:
        raise MappingError(faults)
    return tables


def _maps(root: Traversable, known: Systems) -> Mapping[str, ConceptMap]:
    names = [name.removesuffix(".yaml") for name in _yaml(root, "maps")]
    return {name: maps.read(_text(root, f"maps/{name}.yaml"), f"maps/{name}.yaml", name, known) for name in names}


def versioned(table: TableMapping, catalogue: Catalogue) -> TableMapping:
    """The declaration with a version that also covers the maps it uses, the base of its identifiers, and units."""
    used = {
        arg
        for output in table.outputs
        for leaf in output_leaves(output)
        for step in leaf.pipe.steps
        for arg in step.args
        if arg in catalogue.maps
    }
    content = [table.version, catalogue.base, *(repr(catalogue.maps.get(str(name))) for name in sorted(map(str, used)))]
    content += [catalogue.units] if catalogue.units != RECORDED else []
    return replace(table, version=hashlib.sha256("\n".join(content).encode()).hexdigest()[:16])
