"""Writes the Python for one leaf: a column through its converters, each fault noted with its column and path."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import takewhile
from typing import Any

from fhir_server.fhir.definitions import codes
from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.convert import CONVERTERS
from fhir_server.mapping.converter import TEXT, Remembered
from fhir_server.mapping.elements import Place
from fhir_server.mapping.emit_columns import attempt, variable
from fhir_server.mapping.emit_value import Value
from fhir_server.mapping.grammar import Column, Pipe, Step
from fhir_server.mapping.identity import KEY
from fhir_server.mapping.kinds import ITEM, POSITION, bound
from fhir_server.mapping.maps import SHAPES, Translation
from fhir_server.mapping.model import TableMapping
from fhir_server.mapping.once import Once
from fhir_server.mapping.systems import coding, uri
from fhir_server.mapping.text import folded, is_among
from fhir_server.mapping.writer import Writer

UNKNOWN = "unknown"
GUARDS = frozenset({"given", "unless"})
CHOOSING = {"having": "not ", "apart_from": ""}
"""What chooses rows of a list, and when a row is not chosen: its value is not, or is, among those named."""
TARGETS = {"reference": "{{'reference': {0}}}", "link": "{0}"}
"""What refers to a resource, and what it makes of its URL."""
DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


class Pipes:
    """The pipes of one table."""

    def __init__(self, writer: Writer, table: TableMapping, catalogue: Catalogue, once: Once | None = None):
        self.writer, self.table, self.catalogue, self.once = writer, table, catalogue, once
        deleted = (table.deleted.pipe.column.name,) if table.deleted else ()
        self.items_of = ""
        """The column that the loop being written goes over."""
        self.texts: set[str] = set()
        """Variables of its items that hold text or nothing."""
        self.steering = {*table.key, *table.watermark, *table.tenant, *deleted, POSITION}

    def emit(self, pipe: Pipe, path: str, place: Place | None) -> Value:
        """The value at the end of the pipe."""
        column = self.items_of if pipe.column.name == ITEM else str(pipe.column).removeprefix("$")
        if self._may_nest(pipe):
            self._unnested(pipe, column, path)
        if not pipe.steps:
            return Value(variable(pipe.column), self._creates(pipe, variable(pipe.column)), column=column)
        if self.once and self._is_shared(pipe):
            name = self.once.name((pipe, path if _is_of_place(pipe) else "", place is None), "v")
            self.once.write(name, lambda: self._steps(name, pipe, column, path, place))
        else:
            name = self.writer.fresh()
            self._steps(name, pipe, column, path, place)
        return Value(name, self._creates(pipe, name), _is_always(pipe), column)

    def passed_over(self, pipe: Pipe) -> list[str]:
        """The conditions under which the steps of the pipe do not choose a row of a list.

        Lists of the same rows begin alike: what sets one apart stands last in its pipe, and is asked first.
        """
        found = []
        for step in reversed(pipe.steps):
            name, words = (each.value for each in bound(step))
            value = f"{ITEM}[{name!r}]"
            among = self.writer.made(is_among.__name__, repr(words), partial(Remembered, is_among, _folded(words)))
            found.append(f"{CHOOSING[step.name]}{among}[(asked := {value}).__class__][asked]")
        return found

    def _is_shared(self, pipe: Pipe) -> bool:
        """Whether other outputs need the same value, and it is the same there."""
        columns = pipe.columns()
        return (
            self.once is not None
            and self.once.is_repeated(pipe)
            and not any(each.name in (ITEM, POSITION) for each in columns)
            and all(each.field is None or each.name in self.table.parents for each in columns)
        )

    def _steps(self, name: str, pipe: Pipe, column: str, path: str, place: Place | None) -> None:
        self.writer.line(f"{name} = {variable(pipe.column)}  # {path}: {pipe}")
        for step in _guards_first(pipe.steps):
            own = self._own_output(pipe, step)
            if own:
                with self.writer.block(f"if {name} is not None"):
                    self._own_target(name, step, own)
            else:
                self._step(name, step, column, path, place)

    def _own_output(self, pipe: Pipe, step: Step) -> str | None:
        """The output of the same row that its key refers to."""
        if step.name not in TARGETS or not self.once or (str(pipe.column),) != tuple(f"${k}" for k in self.table.key):
            return None
        if next(each for each in pipe.steps if each.name not in GUARDS) is not step or len(step.args) > 2:
            return None
        resource_type, written = map(str, step.args[:2])
        table, _, label = written.partition("#")
        name = f"{resource_type}#{label}" if label else resource_type
        return name if table == self.table.table and name in self._own_names() else None

    def _own_target(self, name: str, step: Step, output: str) -> None:
        """The id of the other output, where the key stands in names as it is in the column."""
        with self.writer.block(f"if {name} is row[{list(self.table.columns).index(self.table.key[0])}]"):
            url = f"f'{step.args[0]}/{{{self.own_id(output)}}}'"
            self.writer.line(f"{name} = {TARGETS[step.name].format(url)}")
        with self.writer.block("else"):
            self.writer.line(f"{name} = {self._call(name, step, None)}")

    def _own_names(self) -> set[str]:
        """The outputs whose ids are made of the key of the row alone."""
        return {each.name for each in self.table.outputs if not (each.key or each.merge or each.each)}

    def own_id(self, output: str) -> str:
        """The variable of the id of an output, which is made where it is first needed."""
        assert self.once is not None
        name = self.once.name(("id", output), "id_")
        self.once.write(name, lambda: self.writer.line(f"{name} = uuid5(start + {output.encode()!r})"))
        return name

    def _unnested(self, pipe: Pipe, column: str, path: str) -> None:
        """A word or number out of JSON, and a word where only words will do."""
        name = variable(pipe.column)
        with self.writer.block(f"if {name}.__class__ in (dict, list)"):
            self.writer.line(f"{name} = noted(findings, NESTED, {column!r}, {path!r})")
        if not pipe.steps or CONVERTERS[pipe.steps[0].name].takes == TEXT:
            with self.writer.block(f"elif {name} is not None and {name}.__class__ is not str"):
                self.writer.line(f"{name} = text({name})")

    def _may_nest(self, pipe: Pipe) -> bool:
        """Whether the value comes out of JSON, where anything may stand in place of a word or number."""
        if (pipe.steps and CONVERTERS[pipe.steps[0].name].nested) or variable(pipe.column) in self.texts:
            return False
        in_json = pipe.column.field is not None and pipe.column.name not in self.table.parents
        return pipe.column.name == ITEM or in_json

    def _creates(self, pipe: Pipe, name: str) -> str | None:
        """A value creates its surroundings, unless it comes from a key alone or is there by default."""
        given = any(isinstance(arg, Column) for step in pipe.steps if step.name == "given" for arg in step.args)
        if pipe.column.name in self.steering and not given:
            return None
        by_default = any(CONVERTERS[step.name].none for step in pipe.steps)
        own = f"{variable(pipe.column)} is not None and " if by_default else ""
        return f"{own}{name} is not None"

    def _step(self, name: str, step: Step, column: str, path: str, place: Place | None) -> None:
        converter = CONVERTERS[step.name]
        if step.name == "absent":
            with self.writer.block(f"if {name} is None"):
                self.writer.line(f"{name} = {self.writer.constant(absent(place))}")
        elif converter.none:
            self._apply(name, step, column, path, place)
        else:
            with self.writer.block(f"if {name} is not None"):
                self._apply(name, step, column, path, place)

    def _apply(self, name: str, step: Step, column: str, path: str, place: Place | None) -> None:
        if step.name in GUARDS and not any(isinstance(arg, str) for arg in step.args):
            other = f"{variable(step.args[0])} is {'None' if step.name == 'given' else 'not None'}"  # type: ignore[arg-type]
            with self.writer.block(f"if {other}"):
                self.writer.line(f"{name} = None")
            return
        call = self._call(name, step, place)
        if CONVERTERS[step.name].fails:
            attempt(self.writer, name, call, column, path)
        else:
            self.writer.line(f"{name} = {call}")

    def _call(self, name: str, step: Step, place: Place | None) -> str:
        converter = CONVERTERS[step.name]
        if converter.repeats:
            return f"{self._remembered(step)}[{name}.__class__][{name}]"
        if step.name == "map":
            return f"{self._map(str(step.args[0]), place)}[{name}]"
        if step.name in TARGETS:
            return self._target(name, step)
        function = self.writer.function(converter.call.__name__, converter.call)
        args = [name, *(self._argument(each.kind, each.value) for each in bound(step))]
        return f"{function}({', '.join([*args, *(['context'] if converter.context else [])])})"

    def _target(self, name: str, step: Step) -> str:
        """A reference, computed from the key of a row or of a value and the names around it."""
        resource_type, written = map(str, step.args[:2])
        table, _, label = written.partition("#")
        output = f"{resource_type}#{label}" if label else resource_type
        found = self.catalogue.output(resource_type, written)
        key = f"{name} if {name}.__class__ is int else key_text({name})"
        if found and (found.key or found.merge):
            key = f"natural({name})" if found.key else f"merged_key({name})"
        entry = f":{{{variable(step.args[-1])}}}" if isinstance(step.args[-1], Column) else ""
        wanted = f"{'f' if entry else ''}'{resource_type} {self.catalogue.source}/{table}/{KEY}/{output}{entry}'"
        return TARGETS[step.name].format(f"context.ids.references[{wanted}][{key}]")

    def _remembered(self, step: Step) -> str:
        """The name of a converter with its words, the same wherever a declaration writes it."""
        call = CONVERTERS[step.name].call
        return self.writer.made(
            call.__name__, str(step), lambda: Remembered(call, *(each.value for each in bound(step)))
        )

    def _argument(self, kind: str, value: Any) -> str:
        if kind == "column":
            if isinstance(value, tuple):
                return f"({''.join(f'{variable(each)}, ' for each in value)})"
            return "None" if value is None else variable(value)
        if kind == "map":
            return self._map(value, None)
        if kind == "coding":
            return self.writer.constant(coding(value, self.catalogue.systems))
        if kind == "system":
            uris = tuple(
                uri(each, self.catalogue.systems) for each in (value if isinstance(value, tuple) else (value,))
            )
            return repr(uris if isinstance(value, tuple) else uris[0])
        if kind == "count":
            return str(int(value))
        return repr(_folded(value) if kind == "value" else value)

    def _map(self, name: str, place: Place | None) -> str:
        """The map as the element needs it; the bare map where there is no element."""
        word = "".join(each if each.isalnum() else "_" for each in name)
        if place is None or place.type not in SHAPES:
            self.writer.names.setdefault(f"MAP_{word}", self.catalogue.maps[name])
            return f"MAP_{word}"
        required = place.binding is not None and place.binding.strength == "required"
        key = f"MAP_{word}_{place.type}{'_required' if required else ''}"
        if key not in self.writer.names:
            self.writer.names[key] = Translation(self.catalogue.maps[name], place.type, required=required)
        return key


def _folded(words: Any) -> tuple[str, ...]:
    return tuple(map(folded, words))


def _is_always(pipe: Pipe) -> bool:
    """Whether the pipe gives a value in any case."""
    always = False
    for step in pipe.steps:
        always = CONVERTERS[step.name].always or (always and step.name not in GUARDS)
    return always


def _is_of_place(pipe: Pipe) -> bool:
    """Whether the element matters: a fault names it, and a map gives what it needs."""
    return any(CONVERTERS[step.name].fails or step.name in ("map", "absent") for step in pipe.steps)


def _guards_first(steps: tuple[Step, ...]) -> Iterable[Step]:
    """What a guard would throw away is not made, unless making it could fail."""
    makes = list(takewhile(lambda step: not CONVERTERS[step.name].fails and not CONVERTERS[step.name].none, steps))
    guards = [step for step in makes if step.name in GUARDS]
    return [*guards, *(step for step in makes if step.name not in GUARDS), *steps[len(makes) :]]


def absent(place: Place | None) -> Any:
    """What an element says without a value: the code `unknown` where it has one, else a data type that says so."""
    if place is not None and place.type == "code":
        listed = codes(place.binding.value_set) if place.binding else None
        if listed is None or UNKNOWN in listed:
            return UNKNOWN
    if place is not None and place.type == "CodeableConcept":
        return {"text": "Unknown"}
    return {"extension": [{"url": DATA_ABSENT, "valueCode": UNKNOWN}]}
