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
    WTimeoutError,
)

from fhir_server.fhir.outcome import FhirError
from fhir_server.store.errors import has_label, is_duplicate, mongo_errors

CASES: list[tuple[Exception, int, str]] = [
    (AutoReconnect("connection closed"), 503, "transient"),
    (ServerSelectionTimeoutError("no primary"), 503, "transient"),
    (NetworkTimeout("timed out"), 503, "transient"),
    (NotPrimaryError("not primary"), 503, "transient"),
    (WTimeoutError("waiting for replication timed out"), 503, "transient"),
    (OperationFailure("interrupted at shutdown", 11600), 503, "transient"),
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


def test_says_when_to_come_back() -> None:
    with pytest.raises(FhirError) as refusal, mongo_errors:
        raise AutoReconnect("gone")
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
