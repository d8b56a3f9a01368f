"""Predictions as they were recorded; called by the routes for predictions."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from metadata_api.database.pages import counted, first_rows
from metadata_api.database.prediction_tables import EXPERIMENT, Input, Prediction
from metadata_api.errors import ErrorBody, NotFound
from metadata_api.predicting import stored_inputs
from metadata_api.schemas import predictions as bodies

COUNTED = 10_000
"""What a list counts to at most: counting all takes longer than reading a page."""


def show(session: Session, uid: UUID) -> bodies.RecordedPrediction:
    """One recorded prediction; raises NotFound."""
    return _shown(session, [find(session, uid)])[0]


def find(session: Session, uid: UUID) -> Prediction:
    """The row of a prediction; raises NotFound."""
    row = session.scalar(select(Prediction).where(Prediction.uid == uid))
    if row is None:
        raise NotFound("prediction_unknown", f"There is no prediction {uid}. See /v1/predictions.")
    return row


def list_page(session: Session, wanted: bodies.PredictionQuery) -> bodies.PredictionPage:
    """The newest predictions that match, or those older than the cursor; fewer than `limit` when they are large."""
    query = select(Prediction).where(*_conditions(wanted))
    total = counted(session, query.with_only_columns(Prediction.id), COUNTED)
    if wanted.cursor is not None:
        query = query.where(Prediction.id < wanted.cursor)
    large = (Prediction.probabilities, Prediction.answer, Prediction.lineage)
    rows, more = first_rows(session, query.order_by(Prediction.id.desc()), large, wanted.limit)
    items = _shown(session, rows)
    return bodies.PredictionPage(
        items=items,
        total=min(total, COUNTED),
        total_is_exact=total <= COUNTED,
        next=str(rows[-1].id) if more else None,
    )


def _conditions(wanted: bodies.PredictionQuery) -> Iterator[ColumnElement[bool]]:
    filters: dict[Any, Any] = {
        Prediction.deployment: wanted.deployment,
        Prediction.alias: wanted.alias,
        EXPERIMENT: wanted.experiment,
        Prediction.status: wanted.status,
        Prediction.source: wanted.source,
        Prediction.label: wanted.label,
        Prediction.input_sha256: wanted.input_sha256,
        Prediction.request_uid: wanted.request_id,
    }
    yield from (column == value for column, value in filters.items() if value is not None)
    if wanted.disagree is not None:
        yield Prediction.disagrees == wanted.disagree
    if wanted.since is not None:
        yield Prediction.created_at >= wanted.since
    if wanted.until is not None:
        yield Prediction.created_at < wanted.until


def _shown(session: Session, rows: Sequence[Prediction]) -> list[bodies.RecordedPrediction]:
    """Rows as bodies have them; their inputs come by one query."""
    query = select(Input).where(Input.sha256.in_({row.input_sha256 for row in rows}))
    found = {row.sha256: stored_inputs.shown(row) for row in session.scalars(query)} if rows else {}
    return [_body(row, found[row.input_sha256]) for row in rows]


def _body(row: Prediction, asked: bodies.Input) -> bodies.RecordedPrediction:
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
            "input": asked,
            "source": row.source,
            "asked_by": row.lineage.get("asked_by"),
            "lineage": row.lineage,
            "disagrees": row.disagrees,
            "created_at": row.created_at,
        }
    )
