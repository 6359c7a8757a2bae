"""A query looked through before anything is done for it: what it costs, and which resource types it is about.
https://hl7.org/fhir/R4/graphql.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from graphql import (
    BooleanValueNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    parse,
)

from fhir_server.fhir.definitions import resource_types
from fhir_server.fhir.outcome import FhirError, bad_value, error, invalid, not_supported

MAX_LENGTH: Final = 20_000
MAX_TOKENS: Final = 5_000
ABORTED: Final = "Parsing aborted."
MAX_DEPTH: Final = 24
MAX_FIELDS: Final = 500
MAX_ALIASES: Final = 100
MAX_TYPES: Final = 20

LIST, CONNECTION = "List", "Connection"
TYPED: Final = frozenset({"_count", "_offset", "optional"})
"""Arguments that are numbers and truth values; all others are text, however they are written."""
DIRECTIVES: Final = ("flatten", "singleton")
MAX_TOLD: Final = 5
NESTING: Final = frozenset({"fields", "inputFields", "interfaces", "possibleTypes"})
"""Parts of a type that lead to other types, and from there back."""
TOLD: Final = "a part of a type"
"""Among the names of fragments, of which none has spaces: that this is within such a part."""


@dataclass(slots=True)
class Survey:
    """What has been seen of a document; `types` are asked for, `told` are asked about."""

    fragments: dict[str, FragmentDefinitionNode]
    types: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    fields: int = 0
    aliases: int = 0
    introspections: int = 0

    def definition(self, found: OperationDefinitionNode | FragmentDefinitionNode) -> None:
        if isinstance(found, FragmentDefinitionNode):
            self.mention(found.type_condition.name.value)
        elif found.operation != OperationType.QUERY:
            raise not_supported(f"A GraphQL {found.operation.value} is not supported; a query is.")
        self.selections(found.selection_set, 1, (), flattened=isinstance(found, FragmentDefinitionNode))

    def selections(
        self, found: SelectionSetNode | None, depth: int, inside: tuple[str, ...], *, flattened: bool
    ) -> None:
        if depth > MAX_DEPTH:
            raise _too_costly(f"is nested more than {MAX_DEPTH} levels deep")
        for each in found.selections if found else ():
            if isinstance(each, FieldNode):
                self.field(each, depth, inside, flattened=flattened)
            elif isinstance(each, InlineFragmentNode):
                if each.type_condition:
                    self.mention(each.type_condition.name.value)
                self.selections(each.selection_set, depth, inside, flattened=flattened)
            elif isinstance(each, FragmentSpreadNode):
                self.spread(each.name.value, depth, inside, flattened=flattened)

    def spread(self, name: str, depth: int, inside: tuple[str, ...], *, flattened: bool) -> None:
        if name in inside:
            raise _too_costly(f"has no end: the fragment '{name}' contains itself")
        if name in self.fragments:
            self.selections(self.fragments[name].selection_set, depth, (*inside, name), flattened=flattened)

    def field(self, found: FieldNode, depth: int, inside: tuple[str, ...], *, flattened: bool) -> None:
        self.fields += 1
        self.aliases += found.alias is not None
        if self.fields > MAX_FIELDS:
            raise _too_costly(f"has more than {MAX_FIELDS} fields, each fragment counted where it is used")
        if self.aliases > MAX_ALIASES:
            raise _too_costly(f"has more than {MAX_ALIASES} aliases")
        self._name(found)
        if found.name.value in NESTING:
            if TOLD in inside:
                raise _too_costly("asks for types of types; ask for one type after the other")
            inside = (*inside, TOLD)
        flattens, single = (any(each.name.value == name for each in found.directives) for name in DIRECTIVES)
        if single and not flattened:
            raise invalid(
                f"'{found.name.value}' is @singleton, which says something within a field with @flatten only."
            )
        self.selections(found.selection_set, depth + 1, inside, flattened=flattens)

    def _name(self, found: FieldNode) -> None:
        name = found.name.value
        if name == "__schema":
            raise _whole_schema()
        self.mention(_searched(name))
        for each in found.arguments:
            if name == "__type":
                self._asked_about(each.value)
            elif name == "resource" and isinstance(each.value, StringValueNode | EnumValueNode):
                self.mention(each.value.value)
            if each.name.value not in TYPED:
                each.value = _as_text(each.value)
        _only_of_the_type(found)

    def _asked_about(self, value: ValueNode) -> None:
        """What a type has depends on the types that a query names, so its name must be seen before."""
        if not isinstance(value, StringValueNode) or value.value == "Query":
            raise _whole_schema()
        self.introspections += 1
        if self.introspections > MAX_TOLD:
            raise _too_costly(f"asks about more than {MAX_TOLD} types")
        name = _searched(value.value)
        self.mention(name)
        self.told |= {name} & resource_types()

    def mention(self, name: str) -> None:
        if name in resource_types():
            self.types.add(name)
            if len(self.types) > MAX_TYPES:
                raise _too_costly(f"is about more than {MAX_TYPES} resource types")


def _searched(name: str) -> str:
    """`PatientList` and `PatientConnection` are of Patients; a List is a List."""
    return name if name in resource_types() else name.removesuffix(LIST).removesuffix(CONNECTION)


def _whole_schema() -> FhirError:
    return not_supported('The whole schema is not told: it has 146 types. Ask for one: __type(name: "Patient").')


def _too_costly(why: str) -> FhirError:
    return error("too-costly", f"The query {why}.", status=400)


def _as_text(value: ValueNode) -> ValueNode:
    """`use: official`, `active: true` and `_sort: 1` mean what they would mean in quotes."""
    if isinstance(value, ListValueNode):
        value.values = tuple(map(_as_text, value.values))
    elif isinstance(value, BooleanValueNode):
        return StringValueNode(value=str(value.value).lower(), loc=value.loc)
    elif isinstance(value, EnumValueNode | IntValueNode | FloatValueNode):
        return StringValueNode(value=value.value, loc=value.loc)
    return value


def _only_of_the_type(found: FieldNode) -> None:
    """`resource(type: Patient) {birthDate}` selects from a Patient, as `... on Patient {birthDate}` does."""
    wanted = next((each.value for each in found.arguments if each.name.value == "type"), None)
    named = isinstance(wanted, StringValueNode) and wanted.value in resource_types()
    if found.name.value == "resource" and named and found.selection_set:
        condition = NamedTypeNode(name=NameNode(value=wanted.value))  # type: ignore[union-attr]
        inside: SelectionNode = InlineFragmentNode(
            type_condition=condition, directives=(), selection_set=found.selection_set
        )
        found.selection_set = SelectionSetNode(selections=(inside,))


def surveyed(text: str) -> tuple[DocumentNode, Survey]:
    """The document of a query within the limits; 400 where it is none or goes beyond them."""
    if len(text) > MAX_LENGTH:
        raise _too_costly(f"has {len(text):,} characters; {MAX_LENGTH:,} are the most")
    try:
        document = parse(text, max_tokens=MAX_TOKENS)
    except GraphQLSyntaxError as problem:
        if problem.message.endswith(ABORTED):
            raise _too_costly(f"has more than {MAX_TOKENS:,} words and signs") from None
        raise bad_value(f"The query cannot be read: {_placed(problem)}.") from None
    except RecursionError:
        raise _too_costly(f"is nested more than {MAX_DEPTH} levels deep") from None
    return document, _survey(document)


def _survey(document: DocumentNode) -> Survey:
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    survey = Survey(fragments)
    for each in document.definitions:
        if not isinstance(each, OperationDefinitionNode | FragmentDefinitionNode):
            raise not_supported("A query has operations and fragments, no definitions of a schema.")
        survey.definition(each)
    return survey


def _placed(problem: GraphQLSyntaxError) -> str:
    place = problem.locations[0] if problem.locations else None
    message = problem.message.removesuffix(".")
    return f"{message} (line {place.line}, column {place.column})" if place else message
