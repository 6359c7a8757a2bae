"""CPU per resource of each stage of a write: parse, validate, index, encode. Microseconds on one core."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from bench.data import bundle
from fhir_server.fhir import json
from fhir_server.fhir.validate import check
from fhir_server.search.index import index

STAGES: dict[str, Callable[[Any], object]] = {
    "parse": json.parse,
    "validate": check,
    "index": index,
    "encode": json.encode,
}


def measured(patients: int = 20) -> dict[str, dict[str, float]]:
    """By resource type: microseconds of every stage, the types' compilation not counted."""
    resources = [entry["resource"] for seed in range(patients) for entry in bundle(seed)["entry"]]
    by_type: dict[str, list[Any]] = defaultdict(list)
    for resource in resources:
        by_type[resource["resourceType"]].append(json.trusted(json.encode(resource)))
    return {name: {stage: _cost(run, stage, found) for stage, run in STAGES.items()} for name, found in by_type.items()}


def _cost(run: Callable[[Any], object], stage: str, resources: list[Any]) -> float:
    inputs = [json.encode(each) for each in resources] if stage == "parse" else resources
    run(inputs[0])
    started = time.perf_counter()
    rounds = max(1, 2000 // len(inputs))
    for _ in range(rounds):
        for each in inputs:
            run(each)
    return (time.perf_counter() - started) / (rounds * len(inputs)) * 1e6
