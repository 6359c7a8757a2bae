"""What rows become that is not FHIR: accounts, roles, keys, templates, as typed records of the features that use them.

`mappings/features.yaml` lists the kinds of record by feature, each field with its type: a type of FHIR or `json`, `!`
where it is required, `*` where it repeats; or a mapping of fields of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from fhir_server.fhir.definitions import Element, Structure, kinds, structure
from fhir_server.mapping import document
from fhir_server.mapping.document import Table, table
from fhir_server.mapping.problem import refuse, suggestion

FILE = "features.yaml"
JSON = "json"
"""A value of any shape, kept as it is."""

Elements = dict[str, tuple[Element, ...]]


def is_feature(name: str) -> bool:
    """Whether an output is a record, `accounts/user`, and no resource: types of R4 have no slash."""
    return "/" in name


@cache
def features() -> Mapping[str, Structure]:
    """The kinds of record that are known, `accounts/user`, described like types of FHIR."""
    return read(files("mappings").joinpath(FILE).read_text("utf-8"), FILE)


def described(name: str) -> Structure:
    """A kind of record or a type of R4; KeyError where neither has that name."""
    return features()[name] if is_feature(name) else structure(name)


def read(raw: str, file: str) -> Mapping[str, Structure]:
    """The kinds of record of a file."""
    found: dict[str, Structure] = {}
    for feature, records in document.read(raw, file).entries.items():
        for record, fields in table(records, file, feature).entries.items():
            name = f"{feature}/{record}"
            elements: Elements = {}
            _fields(table(fields, file, name), name, elements, file)
            found[name] = Structure(name, "feature", False, None, (), elements)
    return found


def _fields(fields: Table, path: str, into: Elements, file: str) -> None:
    into[path] = tuple(_read(fields, path, into, file))


def _read(fields: Table, path: str, into: Elements, file: str) -> Iterator[Element]:
    for written, found in fields.entries.items():
        name = written.rstrip("!*")
        if isinstance(found, Table):
            _fields(found, f"{path}.{name}", into, file)
            yield _element(f"{path}.{name}", name, "BackboneElement", written)
            continue
        marked = document.text(found, file, f"The type of {name}")
        kind = marked.rstrip("!*")
        if kind != JSON and kind not in kinds():
            raise refuse(file, found.line, f"'{marked}' is no type of FHIR and not json.{suggestion(kind, kinds())}")
        yield _element(f"{path}.{name}", name, kind, marked)


def _element(path: str, name: str, kind: str, marks: str) -> Element:
    return Element(
        path=path,
        name=name,
        choice=False,
        types=(kind,),
        min=int("!" in marks),
        max=None if "*" in marks else 1,
        binding=None,
        targets=(),
        summary=False,
        modifier=False,
        content=None,
        plain=False,
        constraints=(),
    )
