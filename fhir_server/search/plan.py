"""From a query to what MongoDB is asked: one filter, an order that an index serves, and where to go on.

The most selective condition drives: it decides the index, and with it the natural order where none is asked for.
Exact entries are joined so that MongoDB enters the index at the first of them; it takes an equality before an `$in`
and otherwise the one that comes first. https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from fhir_server.search import apart, order, phases
from fhir_server.search.order import Entries, Key
from fhir_server.search.page import Position
from fhir_server.search.phases import Phase
from fhir_server.search.query import Criterion, Query
from fhir_server.search.selectivity import leading, weight
from fhir_server.search.term import Filter, all_of, none_of

NO_ENTRY = ""
"""No index entry is the empty string."""

KEY = "_id_"
"""The index of the keys of documents."""

MARKED = 4
"""The weight of the mark of a long value: more selective than a code, less than a patient."""


MERGED = 200
"""Entries of which MongoDB merges the documents in order; of more, it is left to choose what is quicker."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask for one page. Tenant, types, deletions and access are not in the filters: the repository adds them.

    Where `sort` is empty the order is that of the index named by `hint`. Where `pipeline` is not empty its stages
    follow the match and end sorted. Where `then` is a plan, its rows follow when this one has no more.
    """

    resource_types: tuple[str, ...]
    criteria: Filter
    """What matches, whatever the page: for counting, and for deciding on one document."""
    filter: Filter
    """What matches and is still to come in this order."""
    sort: list[tuple[str, int]]
    hint: str | None
    limit: int
    position_of: Callable[[Mapping[str, Any]], Position]
    projection: tuple[str, ...]
    """Fields that `position_of` reads."""
    pipeline: tuple[dict[str, Any], ...] = ()
    ids: tuple[str, ...] | None = None
    """Where only these logical ids can match: the documents may be reached by their keys."""
    then: Plan | None = None


def plan(query: Query, position: Position | None = None, *, confined: bool = False) -> Plan:
    """The plan of one page, the first or the one after a position.

    A caller who is `confined` sees few of the documents: an index of all of them is not followed for its order alone.
    """
    if position is not None:
        return _planned(query, position, confined)
    if confined not in query.kept:
        query.kept[confined] = _planned(query, None, confined)
    first: Plan = query.kept[confined]
    return first


def _planned(query: Query, position: Position | None, confined: bool) -> Plan:
    ordering = ",".join(("-" if each.descending else "") + each.parameter.code for each in query.sort)
    found = criteria(query)
    if apart.alone(query.resource_types):
        # What is recorded took no time, so that `d` says all that `dat` does, which has no index here.
        found = all_of([found, phases.newest_first(query)[0].filter()])
    asked = _Asked(query, found, leading(query.criteria), position, confined)
    return _orders(query).get(ordering, _sorted)(asked)


def criteria(query: Query, mark: str | None = None) -> Filter:
    """The conditions of a query, and the entry `mark`, joined so that the most selective one is used for the index."""
    weighed = [(weight(each), len(each.term.points), each.term.points) for each in query.criteria if each.term.points]
    if mark:
        weighed.append((MARKED, 1, (mark,)))
    exact = _exact([points for *_, points in sorted(weighed, key=itemgetter(0, 1))])
    return all_of([*exact, *(each.term.filter for each in query.criteria if not each.term.points)])


def _exact(groups: Sequence[tuple[str, ...]]) -> list[Filter]:
    """Groups of entries, of each of which one is needed, the most selective first."""
    if not groups:
        return []
    if len(groups[0]) == 1:
        single = [group[0] for group in groups if len(group) == 1]
        several: list[Filter] = [{"tok": {"$in": list(group)}} for group in groups if len(group) > 1]
        return [{"tok": single[0] if len(single) == 1 else {"$all": single}}, *several]
    # An equality would be preferred to the more selective `$in` before it, so it becomes one of two.
    return [{"tok": {"$in": list(group) if len(group) > 1 else [*group, NO_ENTRY]}} for group in groups]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every order starts from."""

    query: Query
    criteria: Filter
    leading: Criterion | None
    position: Position | None
    confined: bool

    @property
    def whole(self) -> bool:
        """Whether every document of one type is wanted, so that an index of all of them is as short as any."""
        return len(self.query.resource_types) == 1 and not self.query.criteria and not self.confined

    @property
    def entries(self) -> Entries | None:
        """The range of string entries that drives, if one does."""
        span = self.leading.term.span if self.leading else None
        if span is None or (self.apart and not apart.named(span)):
            return None
        return Entries(apart.FIELD if self.apart else "str", *span)

    @property
    def apart(self) -> bool:
        """Whether the type is one of which not all entries are indexed."""
        return apart.alone(self.query.resource_types)

    @property
    def ids(self) -> tuple[str, ...] | None:
        return self.leading.term.ids if self.leading else None

    @property
    def contested(self) -> bool:
        """Whether a condition that cannot lead, such as one on a number, may leave fewer than the one that leads."""
        main = phases.main_date(self.query)
        others = [each for each in self.query.criteria if not each.term.points and "cmp" not in each.term.filter]
        if all(each.parameter.code == main for each in others):
            return False
        return self.leading is None or weight(self.leading) >= MARKED

    def hint(self, ordered_by: str | None) -> str | None:
        """The index that finds and sorts; MongoDB's choice where another index may find better or has to sort."""
        if self.contested or (self.leading and len(self.leading.term.points) > MERGED):
            return None
        if self.leading is None:
            return ordered_by
        return "tok" if self.leading.term.points and ordered_by == "order" else None

    def found(self, keys: Sequence[Key], ordered_by: str | None, *extra: Filter, mark: str | None = None) -> Plan:
        """Documents in the order of the keys, after the position."""
        later = [order.after(keys, self.position.values)] if self.position else []
        return Plan(
            self.query.resource_types,
            self.criteria,
            all_of([criteria(self.query, mark) if mark else self.criteria, *extra, *later]),
            order.specification(keys),
            "tok" if mark else self.hint(ordered_by),
            self.query.count,
            order.position_in(keys),
            tuple(key.field for key in keys),
            ids=self.ids,
        )


def _orders(query: Query) -> Mapping[str, Callable[[_Asked], Plan]]:
    """The orders that indexes serve, by `_sort`."""
    main = phases.main_date(query)
    return {
        "": _natural,
        "_id": lambda asked: _by_id(asked, order.UP),
        "-_id": lambda asked: _by_id(asked, order.DOWN),
        "_lastUpdated": lambda asked: _plain(asked, order.BY_UPDATE, "lu"),
        "-_lastUpdated": lambda asked: _plain(asked, order.LATEST_UPDATE, "lu"),
        **({main: _oldest_first, f"-{main}": _newest_first} if main else {}),
    }


def _plain(asked: _Asked, keys: tuple[Key, ...], hint: str | None) -> Plan:
    several = len(asked.query.resource_types) != 1
    return asked.found((*keys, order.BY_TYPE), None) if several else asked.found(keys, hint)


def _natural(asked: _Asked) -> Plan:
    """Where no order is asked for, the one that the driving condition gives for nothing."""
    if len(asked.query.resource_types) != 1:
        return asked.found((order.BY_TYPE, *order.NEWEST_FIRST), "order")
    if asked.entries:
        return _by_entry(asked, asked.entries)
    if asked.leading and asked.leading.join and asked.ids is not None:
        return asked.found((Key("_id", order.UP),), None)
    if asked.leading is None and phases.only_by_update(asked.query):
        return _plain(asked, order.BY_UPDATE, "lu")
    return _newest_first(asked)


def _by_id(asked: _Asked, direction: int) -> Plan:
    """The key of a document holds its id, and the index of the keys has the order."""
    if asked.whole:
        return asked.found((Key("_id", direction),), KEY)
    return _plain(asked, (Key("id", direction),), None)


def _by_entry(asked: _Asked, entries: Entries) -> Plan:
    """In the order of the matching entries, as the index has them: nothing has to be sorted, however many match."""
    within = entries.after(asked.position) if asked.position else entries.present()
    return Plan(
        asked.query.resource_types,
        asked.criteria,
        all_of([asked.criteria, within]),
        [],
        entries.field,
        asked.query.count,
        entries.position_of,
        entries.projection,
    )


def _sorted(asked: _Asked) -> Plan:
    """By any other parameter: from an index where one has the order."""
    first, *others = asked.query.sort
    entries = order.entries_of(first) if asked.whole and not others and not asked.apart else None
    return _by_entries(asked, entries) if entries else _computed(asked)


def _by_entries(asked: _Asked, entries: Entries) -> Plan:
    """Rising by entries, then what has none of them, with `None` in the place of the entry."""
    if asked.position is None or asked.position.values[0] is not None:
        return _chained([_by_entry(asked, entries), _without(replace(asked, position=None), entries)])
    return _without(replace(asked, position=Position(asked.position.values[1:])), entries)


def _without(asked: _Asked, entries: Entries) -> Plan:
    found = asked.found(order.NEWEST_FIRST, "order", none_of(entries.present()))
    return replace(found, position_of=lambda document: Position((None, *found.position_of(document).values)))


def _newest_first(asked: _Asked) -> Plan:
    return _chained([_phase(asked, order.NEWEST_FIRST, each) for each in phases.newest_first(asked.query)])


def _oldest_first(asked: _Asked) -> Plan:
    """Rising by the main date, then what has none: an index would put those first."""
    if asked.position and asked.position.values[0] is None:
        return asked.found(order.OLDEST_FIRST, "order")
    dated = [_phase(asked, order.OLDEST_FIRST, each) for each in phases.oldest_first(asked.query)]
    if phases.dated_only(asked.query):
        return _chained(dated)
    undated = replace(asked, position=None).found(order.OLDEST_FIRST, "order", {"d": None})
    return _chained([*dated, undated])


def _phase(asked: _Asked, keys: Sequence[Key], phase: Phase) -> Plan:
    return asked.found(keys, "order", phase.filter(), mark=phase.mark)


def _chained(plans: Sequence[Plan]) -> Plan:
    last = plans[-1]
    for each in reversed(plans[:-1]):
        last = replace(each, then=last)
    return last


def _computed(asked: _Asked) -> Plan:
    """Any other order, computed over all that matches: it costs what the search finds, not what a page shows."""
    keys, stages = order.computed(asked.query.sort)
    later = [{"$match": order.after(keys, asked.position.values)}] if asked.position else []
    sort = {"$sort": dict(order.specification(keys))}
    found = replace(asked, position=None).found(keys, None)
    return replace(found, pipeline=(*stages, *later, sort))
