"""CPU per resource of each stage of a write: parse, validate, index, encode; blind, seal and open where a tenant is
encrypted. Microseconds on one core."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from bench.data import bundle
from fhir_server.crypto import envelope
from fhir_server.crypto.blind import BlindIndex
from fhir_server.crypto.envelope import Place
from fhir_server.crypto.secret import Key
from fhir_server.fhir import json
from fhir_server.fhir.validate import check
from fhir_server.search.blinding import Blinding
from fhir_server.search.index import index
from fhir_server.search.own import R4
from fhir_server.search.sensitive import default

KEY = Key.fresh("patient/1/1")
PLACE = Place("bench", "Patient", "1", "1")
BLINDING = Blinding("bench", default(), BlindIndex(KEY))

STAGES: dict[str, Callable[[Any], object]] = {
    "parse": json.parse,
    "validate": check,
    "index": index,
    "encode": json.encode,
    "index, blinded": lambda resource: index(resource, added=R4, blinding=BLINDING),
    "seal": lambda resource: envelope.seal(KEY, resource, PLACE),
    "open": lambda blob: envelope.unseal(KEY, blob, PLACE),
}


INPUTS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "parse": lambda resources: [json.encode(each) for each in resources],
    "seal": lambda resources: [json.encode(each) for each in resources],
    "open": lambda resources: [envelope.seal(KEY, json.encode(each), PLACE) for each in resources],
}
"""What is not done to a resource itself."""


def measured(patients: int = 20) -> dict[str, dict[str, float]]:
    """By resource type: microseconds of every stage, the types' compilation not counted."""
    resources = [entry["resource"] for seed in range(patients) for entry in bundle(seed)["entry"]]
    by_type: dict[str, list[Any]] = defaultdict(list)
    for resource in resources:
        by_type[resource["resourceType"]].append(json.trusted(json.encode(resource)))
    return {name: {stage: _cost(run, stage, found) for stage, run in STAGES.items()} for name, found in by_type.items()}


def _cost(run: Callable[[Any], object], stage: str, resources: list[Any]) -> float:
    inputs = INPUTS[stage](resources) if stage in INPUTS else resources
    run(inputs[0])
    started = time.perf_counter()
    rounds = max(1, 2000 // len(inputs))
    for _ in range(rounds):
        for each in inputs:
            run(each)
    return (time.perf_counter() - started) / (rounds * len(inputs)) * 1e6
