"""What of the scopes that are asked for lies within those that may be given: narrowed, never widened.  RFC 6749 §3.3"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_server.access.scopes import ANY, PLAIN, InvalidScope, Scope, Scopes

LONGEST = 3000
"""Characters of scopes, so that a token that carries them stays within what is read of a token."""


def within(asked: Iterable[str], allowed: str) -> tuple[str, ...]:
    """A scope that is given whole stays as it is written; an `InvalidScope` where one cannot be given at all."""
    words = list(dict.fromkeys(asked))
    if sum(map(len, words)) + len(words) > LONGEST:
        raise InvalidScope(f"The scopes are longer than {LONGEST} characters.")
    limits = Scopes.granted(allowed)
    return tuple(dict.fromkeys(given for word in words for given in _given(word, limits)))


def _given(word: str, limits: Scopes) -> Iterator[str]:
    """A plain word that nobody knows is ignored, as by OpenID Connect Core §3.1.2.1."""
    if word in PLAIN or "/" not in word:
        if word in limits.plain:
            yield word
        return
    scope = Scope.parse(word)
    common = [found for each in limits.resources if (found := overlap(scope, each)) is not None]
    if scope in common:
        yield word
    else:
        yield from map(str, common)


def overlap(one: Scope, other: Scope) -> Scope | None:
    """What both allow."""
    if one.context != other.context:
        return None
    types = {one.resource_type, other.resource_type}
    rights = one.rights & other.rights
    if not rights or len(types - {ANY}) > 1:
        return None
    criteria = dict.fromkeys(each for each in (one.criteria, other.criteria) if each)
    return Scope(one.context, next(iter(types - {ANY}), ANY), rights, "&".join(criteria))
