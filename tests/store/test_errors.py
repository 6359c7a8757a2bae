"""Errors of the driver as clients see them."""

from __future__ import annotations

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.errors import has_label, is_duplicate, mongo_errors, mongo_writes

CASES: list[tuple[Exception, int, str]] = [
    (WTimeoutError("waiting for replication timed out"), 503, "timeout"),
    (BulkWriteError({"writeConcernErrors": [{"code": 64}]}), 503, "timeout"),
    (ExecutionTimeout("operation exceeded time limit", 50), 503, "too-costly"),
    (DuplicateKeyError("E11000", 11000), 409, "conflict"),
    (BulkWriteError({"writeErrors": [{"code": 11000}]}), 409, "conflict"),
    (DocumentTooLarge("BSON document too large"), 413, "too-long"),
    (OperationFailure("object to insert too large", 10334), 413, "too-long"),
    (InvalidDocument("cannot encode"), 422, "processing"),
    (OverflowError("8-byte ints"), 422, "processing"),
]


@pytest.mark.parametrize(("problem", "status", "code"), CASES, ids=lambda each: getattr(each, "args", each))
def test_becomes(problem: Exception, status: int, code: str) -> None:
    with pytest.raises(FhirError) as refusal, mongo_errors:
        raise problem
    assert (refusal.value.status, refusal.value.issues[0].code) == (status, code)
    assert refusal.value.__cause__ is problem
    assert str(problem) not in str(refusal.value)


AWAY: list[tuple[Exception, str]] = [
    (AutoReconnect("connection closed"), "timeout"),
    (NetworkTimeout("timed out"), "timeout"),
    (NotPrimaryError("not primary"), "timeout"),
    (OperationFailure("interrupted at shutdown", 11600), "timeout"),
    (ServerSelectionTimeoutError("no primary"), "transient"),
    (WaitQueueTimeoutError("no connection"), "transient"),
]


@pytest.mark.parametrize(("problem", "after_writing"), AWAY, ids=lambda each: type(each).__name__)
def test_away_says_nothing_was_written_only_where_that_is_known(problem: Exception, after_writing: str) -> None:
    for translated, code in ((mongo_errors, "transient"), (mongo_writes, after_writing)):
        with pytest.raises(FhirError) as refusal, translated:
            raise problem
        assert (refusal.value.status, refusal.value.issues[0].code) == (503, code)
        assert ("Nothing was written" in str(refusal.value)) == (code == "transient")
        assert dict(refusal.value.headers)["Retry-After"] == "1"


def test_a_collision_is_409() -> None:
    problem = OperationFailure("write conflict", 112)
    problem._add_error_label("TransientTransactionError")
    with pytest.raises(FhirError) as refusal, mongo_errors:
        raise problem
    assert (refusal.value.status, refusal.value.issues[0].code) == (409, "lock-error")
    assert has_label(refusal.value, "TransientTransactionError")
    assert not has_label(refusal.value, "UnknownTransactionCommitResult")


@pytest.mark.parametrize("problem", [OperationFailure("bad query", 2), PyMongoError("?"), ValueError("ours")])
def test_a_fault_of_ours_stays_one(problem: Exception) -> None:
    with pytest.raises(type(problem)), mongo_errors:
        raise problem


def test_knows_a_taken_key() -> None:
    with pytest.raises(FhirError) as refusal, mongo_errors:
        raise DuplicateKeyError("E11000", 11000)
    assert is_duplicate(refusal.value)
    assert not is_duplicate(ValueError("no"))
