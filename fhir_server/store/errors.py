"""What goes wrong with the database, in the words of FHIR.  https://hl7.org/fhir/R4/http.html#Status-Codes"""

from __future__ import annotations

from types import TracebackType

from bson.errors import BSONError
from pymongo.errors import (
    ConnectionFailure,
    DocumentTooLarge,
    ExecutionTimeout,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteError,
    WTimeoutError,
)

from fhir_server.fhir.outcome import FhirError, Issue, conflict, error, too_costly, too_long, transient


class StoreError(Exception):
    """The store cannot be opened or used as asked; the sentence tells the operator what to put right."""


class Outdated(FhirError):
    """What was written was indexed by search parameters that the tenant has changed meanwhile: it is not stored."""


AWAY = "The database cannot be reached at the moment. Nothing was written; please send the request again."
UNKNOWN = (
    "The database did not confirm in time whether the change was stored. Please read the resource before trying again."
)
TOO_LARGE = "The resource is larger than a stored document may be (16 MB)."
UNSPEAKABLE = "The resource holds a value that the database cannot store."
TOO_SLOW = "The search took longer than this server allows. Please narrow it with further parameters."
TAKEN = "The resource was created by another request at the same time. Please read it and try again."
BUSY = "Other requests changed the same resources at the same time. Please try again."

DUPLICATE = 11000
REFUSED = (WriteError, BSONError, OverflowError, FhirError)
"""After these it is certain that a single write did not happen."""

OUTDATED = "The search parameters of this tenant have just changed. Nothing was written; please send the request again."
GUARDED = 121
_NEVER_SENT = (ServerSelectionTimeoutError, WaitQueueTimeoutError)
_NOT_YET_REPLICATED = 64
_TOO_LARGE = frozenset({10334, 17419, 17420})
_AWAY = frozenset({6, 7, 89, 91, 189, 10107, 11600, 11602, 13435, 13436})
"""Not primary, shutting down, host unreachable, network timeout: codes that mean "ask again soon"."""


def as_fhir(cause: PyMongoError, *, writing: bool) -> FhirError | None:
    """The refusal a client can act on; None for a fault of ours, which stays what it is: a 500 with a log entry."""
    code = _code(cause)
    if code == DUPLICATE:
        return conflict(TAKEN)
    if code == GUARDED:
        return outdated()
    if code in _TOO_LARGE:
        return too_long(TOO_LARGE)
    if isinstance(cause, ExecutionTimeout):
        return too_costly(TOO_SLOW, status=503)
    if isinstance(cause, WTimeoutError) or code == _NOT_YET_REPLICATED:
        return unconfirmed()
    if isinstance(cause, ConnectionFailure) or code in _AWAY:
        return unconfirmed() if writing and not isinstance(cause, _NEVER_SENT) else transient(AWAY)
    if has_label(cause, "TransientTransactionError"):
        return error("lock-error", BUSY)
    return None


def outdated() -> Outdated:
    return Outdated([Issue("transient", OUTDATED)], headers=[("Retry-After", "1")])


def unconfirmed() -> FhirError:
    """503 that does not say that nothing was written, because it may have been."""
    return error("timeout", UNKNOWN, headers=[("Retry-After", "1")])


def _code(cause: PyMongoError) -> int | None:
    """The server's error code; a bulk write carries it in its first refused operation."""
    details = getattr(cause, "details", None) or {}
    refused = details.get("writeErrors") or details.get("writeConcernErrors") or ()
    return refused[0].get("code") if refused else getattr(cause, "code", None)


def is_duplicate(problem: BaseException) -> bool:
    """Whether a key was taken already."""
    return isinstance(problem.__cause__, PyMongoError) and _code(problem.__cause__) == DUPLICATE


def has_label(problem: BaseException | None, label: str) -> bool:
    """Whether the driver marked this error, or the one it came from, as one that a repetition may cure."""
    while problem is not None:
        if isinstance(problem, PyMongoError) and problem.has_error_label(label):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


class _Translated:
    """The one place where errors of the driver become errors of FHIR."""

    __slots__ = ("_writing",)

    def __init__(self, *, writing: bool) -> None:
        self._writing = writing

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(problem, PyMongoError):
            refusal = as_fhir(problem, writing=self._writing)
            if refusal is not None:
                raise refusal from problem
        elif isinstance(problem, DocumentTooLarge):
            raise too_long(TOO_LARGE) from problem
        elif isinstance(problem, BSONError | OverflowError):
            raise error("processing", UNSPEAKABLE) from problem


mongo_errors = _Translated(writing=False)
"""Around what reads, or writes in a transaction that is not yet committed."""

mongo_writes = _Translated(writing=True)
"""Around what writes: when the connection breaks on the way, the change may have been stored."""
