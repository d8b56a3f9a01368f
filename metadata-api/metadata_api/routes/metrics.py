"""Figures for Prometheus."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import QueuePool

from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.metrics import CONTENT_TYPE
from metadata_api.routes.dependencies import Components, ComponentsDep
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
    dependencies=[needs(Role.VIEWER)],
    response_class=Response,
    responses={**TEXT, **responses()},
)
async def show_metrics(of: ComponentsDep) -> Response:
    """Requests, latency, database connections, imports, the reconcile loop and the watches of Kubernetes."""
    return Response(of.metrics.text(), headers={"content-type": CONTENT_TYPE})


def show_gauges(components: Components) -> None:
    """What is read of the parts when `/metrics` is asked for."""
    pool, found = components.engine.pool, components.metrics
    assert isinstance(pool, QueuePool), "connect sees to it"
    most = 2 * components.settings.database.pool
    found.gauge("marina_database_connections", "Database connections in use.", pool.checkedout)
    found.gauges(
        "marina_store_problems",
        "Objects of the store that rows need and that are missing or damaged, as far as anybody noticed.",
        "problem",
        lambda: components.maintenance.problems,
    )
    found.gauge("marina_database_connections_limit", "Most database connections at once.", lambda: most)
    found.gauges(
        "marina_watch_away_seconds",
        "For how long a watch of the Kubernetes API has heard nothing; 0 while all is well.",
        "kind",
        lambda: components.deployer.watches,
    )
    found.counts(
        "marina_api_requests_rejected",
        "Requests without a valid credential (401), or with one that is not enough (403).",
        "code",
        lambda: components.rejected,
    )
    found.counts(
        "marina_api_recorded_events",
        "Events of recorded v2 traffic, by what became of them: stored, repeated, unreadable, ignored, unpaired, full, "
        "failed, lost.",
        "outcome",
        lambda: components.recorder.events,
    )
    found.counts(
        "marina_api_recorded_predictions",
        "Predictions that were recorded of traffic, by its source.",
        "source",
        lambda: components.recorder.predictions,
    )
    found.gauge(
        "marina_api_recorded_events_waiting",
        "Events of recorded v2 traffic that were taken and are not stored yet.",
        lambda: components.recorder.queued,
    )
