"""How often a deployment was asked lately and how fast it answered, from the predictions that are recorded."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, func, select, true
from sqlalchemy.orm import Session

from metadata_api.database.prediction_tables import Prediction
from metadata_api.database.tables import Deployment
from metadata_api.schemas.deployments import Traffic

COUNTED = 1000
"""Predictions of one deployment that are looked at, at most; they are found by an index, newest first."""


def recent(session: Session, names: Sequence[str], minutes: int) -> dict[str, Traffic]:
    """The traffic of each deployment in the last minutes."""
    newest = (
        select(Prediction.status, Prediction.latency_ms, Prediction.created_at)
        .where(Prediction.deployment == Deployment.name)
        .order_by(Prediction.id.desc())
        .limit(COUNTED)
        .lateral()
    )

    def quantile(share: float) -> Any:
        answered = case((newest.c.status == "ok", newest.c.latency_ms))
        return func.percentile_cont(share).within_group(answered)

    begin = func.now() - func.make_interval(0, 0, 0, 0, 0, minutes)
    query = (
        select(
            Deployment.name,
            func.count(),
            func.count(case((newest.c.status == "error", 1))),
            quantile(0.5),
            quantile(0.95),
        )
        .join(newest, true())
        .where(Deployment.name.in_(names), newest.c.created_at > begin)
        .group_by(Deployment.name)
    )
    found = {
        name: Traffic(minutes=minutes, requests=count, errors=errors, p50_ms=p50, p95_ms=p95)
        for name, count, errors, p50, p95 in session.execute(query)
    }
    nothing = Traffic(minutes=minutes, requests=0, errors=0, p50_ms=None, p95_ms=None)
    return {name: found.get(name, nothing) for name in names}
