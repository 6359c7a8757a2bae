"""Transactions: all or nothing, tried again when others were faster.  https://hl7.org/fhir/R4/http.html#transaction-atomicity
https://www.mongodb.com/docs/manual/core/transactions-in-applications/
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from time import monotonic
from typing import TypeVar

from pymongo import ReadPreference
from pymongo.errors import ConnectionFailure, PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern

from fhir_server.fhir.outcome import FhirError, error, too_costly
from fhir_server.store.database import DURABLE, Database, Session
from fhir_server.store.errors import BUSY, has_label, mongo_errors, unconfirmed
from fhir_server.store.unit import Buffered

T = TypeVar("T")
Work = Callable[[Buffered], Awaitable[T]]

BUDGET = 20.0
"""Seconds for all attempts together; MongoDB itself ends a transaction after 60."""

ATTEMPTS = 16


async def run(database: Database, work: Work[T]) -> T:
    """What `work` answers in the attempt that was committed; it may run several times, without other effects."""
    deadline = monotonic() + BUDGET
    async with database.session() as session:
        for pause in _pauses():
            try:
                return await _attempt(database, session, work, deadline)
            except (FhirError, PyMongoError) as problem:
                if not _worth_repeating(problem):
                    raise
            await asyncio.sleep(pause)
    raise error("lock-error", BUSY)


def _pauses() -> Iterator[float]:
    """Random, so that those who collided do not meet again; longer each time."""
    return (random.uniform(0, min(0.5, 0.004 * 2**attempt)) for attempt in range(ATTEMPTS))  # noqa: S311


def _worth_repeating(problem: BaseException) -> bool:
    """A collision is; a database that went away is not, because each attempt would wait for it again."""
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ConnectionFailure):
            return False
        cause = cause.__cause__ or cause.__context__
    return has_label(problem, "TransientTransactionError")


async def _attempt(database: Database, session: Session, work: Work[T], deadline: float) -> T:
    unit = Buffered(database, session)
    await session.start_transaction(ReadConcern("snapshot"), DURABLE, ReadPreference.PRIMARY, 10_000)
    try:
        async with asyncio.timeout(deadline - monotonic()):
            result = await work(unit)
            await unit.flush()
    except TimeoutError as problem:
        await _abort(session, unit)
        raise too_costly("The transaction took longer than this server allows. Please send it in parts.") from problem
    except BaseException:
        await _abort(session, unit)
        raise
    await _commit(session, deadline)
    return result


async def _abort(session: Session, unit: Buffered) -> None:
    """The driver swallows what goes wrong here: MongoDB aborts a transaction that it hears no more of."""
    await session.abort_transaction()
    await unit.discard()


async def _commit(session: Session, deadline: float) -> None:
    """A commit whose answer was lost may be sent again: it takes effect once."""
    while True:
        try:
            with mongo_errors:
                return await session.commit_transaction()
        except FhirError as problem:
            if not has_label(problem, "UnknownTransactionCommitResult"):
                raise
            if monotonic() > deadline or not _primary_known(problem):
                raise unconfirmed() from problem


def _primary_known(problem: BaseException) -> bool:
    return not isinstance(problem.__cause__, ServerSelectionTimeoutError)
