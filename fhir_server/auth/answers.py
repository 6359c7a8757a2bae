"""How refusals leave the endpoints of the authorization server.  RFC 6749 §5.2"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from fhir_server.auth.provider import KEPT_BY_NOBODY
from fhir_server.auth.refusal import OAuthError
from fhir_server.fhir.outcome import FhirError


async def of_oauth(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, OAuthError)
    return JSONResponse(problem.body, problem.status, headers={**KEPT_BY_NOBODY, **problem.headers})


async def of_store(_: Request, problem: Exception) -> JSONResponse:
    """What the store refuses, or cannot do at the moment."""
    assert isinstance(problem, FhirError)
    error = "temporarily_unavailable" if problem.status == 503 else "invalid_request"
    body = {"error": error, "error_description": str(problem)}
    return JSONResponse(body, problem.status, headers={**KEPT_BY_NOBODY, **dict(problem.headers)})
