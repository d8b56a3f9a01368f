"""Predictions as they were recorded; called by the routes for predictions."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metadata_api.database.pages import first_rows
from metadata_api.database.prediction_tables import Prediction
from metadata_api.errors import ErrorBody, NotFound
from metadata_api.schemas import predictions as bodies


def show(session: Session, uid: UUID) -> bodies.RecordedPrediction:
    """One recorded prediction; raises NotFound."""
    row = session.scalar(select(Prediction).where(Prediction.uid == uid))
    if row is None:
        raise NotFound("prediction_unknown", f"There is no prediction {uid}.")
    return _shown(row)


def list_page(
    session: Session,
    *,
    deployment: str | None,
    input_sha256: str | None,
    request_id: UUID | None,
    limit: int,
    before: int | None,
) -> bodies.PredictionPage:
    """The `limit` newest predictions that match, or those older than the cursor `before`; fewer when they are large."""
    query = select(Prediction)
    filters = {
        Prediction.deployment: deployment,
        Prediction.input_sha256: input_sha256,
        Prediction.request_uid: request_id,
    }
    for column, value in filters.items():
        if value is not None:
            query = query.where(column == value)
    total = session.scalar(query.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    if before is not None:
        query = query.where(Prediction.id < before)
    large = (Prediction.probabilities, Prediction.answer, Prediction.lineage)
    rows, more = first_rows(session, query.order_by(Prediction.id.desc()), large, limit)
    items = [_shown(row) for row in rows]
    return bodies.PredictionPage(items=items, total=total, next=str(rows[-1].id) if more else None)


def _shown(row: Prediction) -> bodies.RecordedPrediction:
    return bodies.RecordedPrediction.model_validate(
        {
            "prediction_id": row.uid,
            "deployment": row.deployment,
            "alias": row.alias,
            "experiment": row.lineage["experiment"],
            "version": row.lineage["version"],
            "status": row.status,
            "kind": row.kind,
            "label": row.label,
            "probabilities": row.probabilities,
            **(row.answer or {}),
            "latency_ms": row.latency_ms,
            "error": ErrorBody(error=row.error, detail=row.error_detail or "") if row.error else None,
            "request_id": row.request_uid,
            "input_sha256": row.input_sha256,
            "source": row.source,
            "lineage": row.lineage,
            "created_at": row.created_at,
        }
    )
