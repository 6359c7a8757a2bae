"""Passwords: how they are hashed, and which are refused.

RFC 9106, https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")

ALONE = 15
"""Characters at least of a password that is the only factor. NIST SP 800-63B-4 §3.1.1.2"""
WITH_SECOND = 8
LONGEST = 1024
"""Nothing is cut off: a longer one is refused."""

WAITING_MOST = 64
"""Whoever comes when so many wait is asked to come back: hashing must not keep others waiting."""

_HASHER = PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)
"""https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html"""

_SHORT = 4
"""Characters: less is no word, and saying it often adds nothing."""
_LEET = str.maketrans("013457@$!", "oieastasi")
_TRIMMED = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1qaz2wsx3edc4rfv")


class Busy(Exception):
    """Too many passwords wait to be looked at."""


def _behind() -> None:
    """Reads go before hashes, which may wait for a processor; on systems where threads have no priority they share."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


class Passwords:
    """Hashes in threads of its own, fewer than there are cores, so that a flood of logins leaves room for the rest."""

    def __init__(self, hasher: PasswordHasher = _HASHER) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(
            max(1, (os.cpu_count() or 1) // 2), thread_name_prefix="passwords", initializer=_behind
        )
        self._waiting = 0
        self._dummy = hasher.hash(secrets.token_urlsafe())

    async def hashed(self, password: str) -> str:
        return await self._run(self._hasher.hash, normal(password))

    async def fits(self, kept: str | None, password: str) -> bool:
        """Takes as long where there is no such user: then a hash that nobody knows the password of is tried."""
        text = normal(password)
        found = await self._run(self._verified, kept or self._dummy, text if len(text) <= LONGEST else "")
        return found and kept is not None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verified(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *given: str) -> T:
        if self._waiting >= WAITING_MOST:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)
        finally:
            self._waiting -= 1


def normal(password: str) -> str:
    """One password however a keyboard writes it. NIST SP 800-63B-4 §3.1.1.2: normalized before it is hashed"""
    return unicodedata.normalize("NFKC", password)


def fault(password: str, *, second_factor: bool, about: Iterable[str] = ()) -> str | None:
    """What is wrong with a password that somebody wants, as a sentence; `about` are words that others would try."""
    text = normal(password)
    least = WITH_SECOND if second_factor else ALONE
    if len(text) < least:
        return f"It has {len(text)} characters; at least {least} are needed. Three or four words in a row do well."
    if len(text) > LONGEST:
        return f"It has more than {LONGEST} characters."
    folded = text.casefold()
    if _is_common(folded):
        return "It is one of the passwords that are tried first. Choose something that nobody else would."
    if len(_without(folded, about)) < WITH_SECOND:
        return "It is made of a name that others know. Choose something else."
    return None


def _is_common(folded: str) -> bool:
    """A password of the list stays one with digits around it, with digits for letters, and said twice."""
    core = _TRIMMED.sub("", folded)
    spoken = {core.translate(_LEET), _TRIMMED.sub("", folded.translate(_LEET))}
    repeated = _repeated(folded)
    forms = {folded, core, *spoken, *repeated, *_repeated(core)}
    shortest = min(map(len, repeated), default=len(folded))
    return shortest <= _SHORT or not forms.isdisjoint(_common()) or any(folded in run * 2 for run in _runs())


def _repeated(text: str) -> set[str]:
    """What a text says more than once, and nothing else."""
    lengths = [length for length in range(1, len(text) // 2 + 1) if len(text) % length == 0]
    return {text[:length] for length in lengths if text[:length] * (len(text) // length) == text}


def _without(folded: str, about: Iterable[str]) -> str:
    for word in about:
        folded = folded.replace(word.casefold(), "") if len(word) >= _SHORT else folded
    return folded


@cache
def _runs() -> tuple[str, ...]:
    return (*_RUNS, *(run[::-1] for run in _RUNS))


@cache
def _common() -> frozenset[str]:
    return frozenset((files("fhir_server.auth") / "common_passwords.txt").read_text("utf-8").split())
