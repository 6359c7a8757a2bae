"""Writes the Python of outputs: each in a function of its own, or all that a row becomes in one.

In one function the outputs share what they read of the row; each is a loop that is left after the first round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.claims import ALWAYS, NEVER, claim
from fhir_server.mapping.elements import Place, root
from fhir_server.mapping.emit import Nodes, none_of, uncertain
from fhir_server.mapping.emit_columns import variable
from fhir_server.mapping.emit_value import VARIES, Value
from fhir_server.mapping.features import is_feature
from fhir_server.mapping.kinds import Scope, column_kind
from fhir_server.mapping.model import Leaf, Node, Output, TableMapping, output_leaves
from fhir_server.mapping.once import Once, element_key
from fhir_server.mapping.profiles import Profile
from fhir_server.mapping.writer import Writer

ROW_ARGS = "row, key, related, context, findings, drafts"
TIMES = frozenset({"timestamp", "timestamptz"})
OWN_KEY = "key"


def alone(writer: Writer, table: TableMapping, catalogue: Catalogue, output: Output) -> str:
    """The name of the function of one output."""
    name = writer.fresh(f"{output.resource_type}_{(output.label or '').replace('-', '_')}_".replace("/", "_"))
    with writer.block(f"def {name}({ROW_ARGS})"):
        _Output(writer, table, catalogue, output, None).write()
    writer.line("")
    return name


def together(writer: Writer, table: TableMapping, catalogue: Catalogue) -> str:
    """The name of the function of all that a row becomes apart from what it becomes together with others."""
    outputs = tuple(output for output in table.outputs if not output.merge)
    with writer.block(f"def outputs({ROW_ARGS})"):
        writer.line(f"start = context.ids.namespace + f'{table.source}/{table.table}/{{key}}/'.encode()")
        once = Once(writer, table, outputs)
        for output in outputs:
            with once.part(f"{output.name}, {table.file}:{output.line}"):
                _Output(writer, table, catalogue, output, once).write()
        once.close()
    writer.line("")
    return "outputs"


class _Output:
    """Writes one output; with `once` it stands among others, in a function that they share."""

    def __init__(self, writer: Writer, table: TableMapping, catalogue: Catalogue, output: Output, once: Once | None):
        self.writer, self.table, self.catalogue, self.output, self.once = writer, table, catalogue, output, once
        self.place = root(output.resource_type)
        self.nodes = Nodes(writer, table, catalogue, once)
        self.scope = Scope(table)
        self.leave = "break" if once else "return"
        self.key = OWN_KEY
        self.known: set[str] = set()
        """Variables that have a value, or the output would have been left."""

    def write(self) -> None:
        output = self.output
        self.writer.line(f'"""{output.name}, {self.table.file}:{output.line}"""')
        self._conditions()
        self.nodes.columns.load(leaf.pipe for leaf in output_leaves(output))
        self._key()
        if output.each:
            self._loop(output.each)
        else:
            self._resource(repr(output.name))

    def _leave_if(self, condition: str) -> None:
        with self.writer.block(f"if {condition}"):
            self.writer.line(self.leave)
        if self.once:
            self.once.may_leave()

    def _conditions(self) -> None:
        """When the output is made at all; without a stated condition, when a column gives it a value."""
        output = self.output
        self.nodes.columns.load(leaf.pipe for leaf in output.when)
        for leaf in output.when:
            name = self.nodes.pipes.emit(leaf.pipe, output.name, None).name
            self._leave_if(f"{name} is None")
            self.known.add(name)
        if output is not self.table.outputs[0] and not (output.when or output.each or output.key or output.merge):
            self._created()

    def _created(self) -> None:
        """Keys, times of change and the subject create no output."""
        pipes = [leaf.pipe for leaf in output_leaves(self.output) if self._is_creating(leaf)]
        self.nodes.columns.load(pipes)
        names = dict.fromkeys(variable(pipe.column) for pipe in pipes)
        self._leave_if(" and ".join(f"{name} is None" for name in names) or "True")

    def _is_creating(self, leaf: Leaf) -> bool:
        column = leaf.pipe.column
        is_own = column.name in self.table.columns or column.name in self.table.decode
        if not is_own or column.name in self.nodes.pipes.steering:
            return False
        about_patient = any(step.name == "reference" and step.args[0] == "Patient" for step in leaf.pipe.steps)
        return not about_patient and column_kind(column, self.scope) not in TIMES

    def _key(self) -> None:
        if self.output.key:
            value = self.nodes.pipes.emit(self.output.key.pipe, self.output.name, None)
            self._leave_if(f"{value.name} is None")
            self.key = self.writer.fresh("key_")
            self.writer.line(f"{self.key} = natural({value.name})")

    def _loop(self, each: Leaf) -> None:
        items = self.nodes.pipes.emit(each.pipe, self.output.name, None)
        self.scope = self.scope.inside(each.pipe)
        self.nodes.pipes.items_of = items.column
        self.leave = "continue"
        with self.writer.block(f"for position, item in enumerate({items.name} or (), 1)"):
            self.nodes.pipes.texts = self.nodes.columns.items(
                [leaf.pipe for leaf in output_leaves(self.output)], self.scope
            )
            name = self.writer.fresh("name_")
            self.writer.line(f"{name} = f'{self.output.name}:{{place_of(item, position)}}'")
            self._resource(name)

    def _resource(self, name: str) -> None:
        """The resource itself, or nothing where a required element has no value."""
        children = {child: self._certain(self._child(child, node)) for child, node in self.output.body.children.items()}
        self._legacy(children)
        self._required(children)
        children = {child: self._certain(value) for child, value in children.items()}
        head = f"'resourceType': {self.output.resource_type!r}, 'id': {self._id(name)}"
        if not is_feature(self.output.resource_type):
            self._meta(children)
            head += ", 'meta': meta"
        self.nodes.fill("resource", children, head)
        self.writer.line(f"drafts.append(Draft({name}, {self.key}, resource))")

    def _child(self, name: str, node: Node) -> Value:
        """An element of the resource; where other outputs have the same, it is made once."""
        place, key = self.place.child(name), element_key(self.output, name, node)
        if not self.once or self.output.each or not self.once.is_repeated(key):
            return self.nodes.node(node, place, self.scope)
        self._shared(key, node, place, self.once)
        return self.once.values[key]

    def _shared(self, key: str, node: Node, place: Place, once: Once) -> None:
        name, creates = once.name(key, "v"), once.name(f"{key} creates", "is_own_")

        def write() -> None:
            found = self.nodes.node(node, place, self.scope)
            self.writer.line(f"{name}, {creates} = {found.name}, {found.creates or False}")
            once.values[key] = replace(found, name=name, creates=found.creates and creates)

        once.write(name, write)

    def _certain(self, value: Value) -> Value:
        return replace(value, always=True) if value.name in self.known else value

    def _id(self, name: str) -> str:
        """The source of the id; that of an output which others of the row refer to is worked out once."""
        if not self.once or self.key != OWN_KEY:
            written = f"{{{name}}}" if self.output.each else self.output.name
            return f"context.ids.of(f'{self.table.source}/{self.table.table}/{{{self.key}}}/{written}')"
        return f"uuid5(start + {name}.encode())" if self.output.each else self.nodes.pipes.own_id(self.output.name)

    def _legacy(self, children: dict[str, Value]) -> None:
        """Where a resource can be identified, it also carries the key of the row it comes from."""
        if is_feature(self.output.resource_type) or "identifier" not in self.place.names():
            return
        legacy = self._once("legacy", self._identifier())
        own = children.get("identifier")
        many = self.place.child("identifier").many
        if own and many:
            known = own.name if own.always else f"({own.name} or ())"
            children["identifier"] = Value(f"[*{known}, {legacy}]", always=True)
        elif not own:
            children["identifier"] = Value(f"[{legacy}]" if many else legacy, always=True)

    def _identifier(self) -> str:
        system = f"{self.catalogue.base}/legacy/{self.table.source}/{self.table.table}"
        return f"{{'use': 'secondary', 'system': {system!r}, 'value': {self.key}}}"

    def _once(self, name: str, source: str) -> str:
        """What is the same for every output of the row."""
        if not self.once or self.key != OWN_KEY:
            return source
        self.once.write(name, lambda: self.writer.line(f"{name} = {source}"))
        return name

    def _required(self, children: Mapping[str, Value]) -> None:
        wanted = uncertain(self.place, children)
        self.known |= {children[names[0]].name for names in wanted if len(names) == 1 and names[0] in children}
        for names in wanted:
            column = next((children[name].column for name in names if name in children), "")
            with self.writer.block(f"if {none_of(names, children)}"):
                self.writer.line(f"missing(findings, {column!r}, {f'{self.place.path}.{names[0]}'!r})")
        if wanted:
            self._leave_if(" or ".join(f"({none_of(names, children)})" for names in wanted))

    def _meta(self, children: Mapping[str, Value]) -> None:
        """Where the resource comes from, what it is labelled with, and the profiles that it claims."""
        place = self.place.child("meta")
        own = {each: self.nodes.node(node, place.child(each), self.scope) for each, node in self.output.meta.items()}
        origin = f"urn:legacy:{self.table.source}:{self.table.table}:"
        key = self.key
        source = self._once("source", f"{origin!r} + ({key} if {key}.isalnum() else quote({key}, safe='~:'))")
        self.writer.line(f"meta = {{'source': {source}{self._tags(own)}}}")
        self._labels(own)
        self._claims(children)

    def _tags(self, own: Mapping[str, Value]) -> str:
        """What is the same for every row."""
        tag = {"system": f"{self.catalogue.base}/CodeSystem/legacy-source", "code": self.table.source}
        shared = {name: value.shared for name, value in own.items() if value.shared is not VARIES}
        tags = [tag, *shared.pop("tag", [])]
        parts = [f", 'tag': {self.writer.constant(tags)}"]
        return "".join([*parts, *(f", {name!r}: {self.writer.constant(value)}" for name, value in shared.items())])

    def _labels(self, own: Mapping[str, Value]) -> None:
        """What a row says about its resource: that it is sensitive."""
        for name, value in own.items():
            if value.shared is VARIES:
                own_first = f"[*{value.name}, *meta['tag']]" if name == "tag" else value.name
                with self.writer.block(f"if {value.name} is not None"):
                    self.writer.line(f"meta[{name!r}] = {own_first}")

    def _claims(self, children: Mapping[str, Value]) -> None:
        """Profiles that are claimed under the same condition are claimed together."""
        claims = [(claim(profile, children), profile.url) for profile in map(self._profile, self.output.profiles)]
        claims = [(condition, url) for condition, url in claims if condition != NEVER]
        if len({condition for condition, _ in claims}) == 1:
            urls = self.writer.constant([url for _, url in claims])
            self._when(claims[0][0], f"meta['profile'] = {urls}")
            return
        for condition, url in claims:
            self._when(condition, f"meta['profile'] = [*meta.get('profile', ()), {url!r}]")

    def _when(self, condition: str, line: str) -> None:
        if condition == ALWAYS:
            self.writer.line(line)
        else:
            with self.writer.block(f"if {condition}"):
                self.writer.line(line)

    def _profile(self, name: str) -> Profile:
        return self.catalogue.profiles[name]
