"""Probes and metrics for whoever runs the server."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from fhir_server.fhir.outcome import FhirError
from fhir_server.rest import metrics

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: Literal["up", "down"]


@router.get("/health/live", summary="Whether the process answers at all")
async def live() -> Health:
    return Health(status="up")


@router.get("/health/ready", summary="Whether the store can be reached", responses={503: {"model": Health}})
async def ready(request: Request, response: Response) -> Health:
    try:
        await request.app.state.store.ping()
    except FhirError as problem:
        response.status_code = problem.status
        return Health(status="down")
    return Health(status="up")


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def prometheus(request: Request) -> Response:
    request.app.state.records.flush()
    return Response(metrics.page(), media_type=metrics.CONTENT_TYPE)
