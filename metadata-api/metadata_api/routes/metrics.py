"""Figures for Prometheus."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.metrics import CONTENT_TYPE
from metadata_api.routes.dependencies import ComponentsDep
from serving_runtime.contracts import Role

router = APIRouter(tags=["health"])
TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/plain": {"schema": {"type": "string"}}},
        "description": "Prometheus' text format.",
    }
}


@router.get(
    "/metrics",
    dependencies=[needs(Role.FETCHER)],
    response_class=Response,
    responses={**TEXT, **responses()},
)
async def metrics(of: ComponentsDep) -> Response:
    """Requests, latency, database connections, imports, the reconcile loop and the watches of Kubernetes."""
    return Response(of.metrics.text(), headers={"content-type": CONTENT_TYPE})
