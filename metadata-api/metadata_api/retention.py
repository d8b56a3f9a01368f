"""Deletes what is older, more or larger than the settings say, oldest first and in batches; the maintenance calls it.

A batch is a transaction of its own, short enough to hold nobody up. Experiments, versions and labels are somebody's
work: only people delete them, and what models said about a labelled input stays with it, as scores rest on it.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from metadata_api.database.auth_tables import AuditEntry
from metadata_api.database.evidence_tables import Label
from metadata_api.database.object_tables import StoreCheck
from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.session import Sessions
from metadata_api.database.tables import Alias, AliasEvent, Deployment, DeploymentEvent, Import
from metadata_api.deletions import delete_unused_inputs, is_unused
from metadata_api.settings.stores import Retention

BATCH = 1000
KEPT_CHECKS = 100
ROLL_BACK_EVENTS = 2

Column = InstrumentedAttribute[Any]


def apply(sessions: Sessions, keep: Retention) -> int:
    """Delete one batch of each kind that has too much; how many rows that were."""
    rules: list[Callable[[Session], int]] = [
        lambda session: _predictions(session, keep),
        _recorded_traffic,
        lambda session: _rows(session, Import.id, Import.created_at, keep.imports_days, keep.imports_rows),
        lambda session: _rows(
            session, DeploymentEvent.id, DeploymentEvent.at, keep.events_days, keep.events_rows
        ),
        lambda session: _rows(
            session, AliasEvent.id, AliasEvent.at, keep.events_days, keep.events_rows, ~_is_for_roll_back()
        ),
        lambda session: _rows(session, AuditEntry.id, AuditEntry.at, keep.audit_days, 0),
        lambda session: _rows(session, StoreCheck.id, StoreCheck.requested_at, 0, KEPT_CHECKS),
    ]
    deleted = 0
    for rule in rules:
        with sessions.begin() as session:
            deleted += rule(session)
    return deleted


def _predictions(session: Session, keep: Retention) -> int:
    """The oldest predictions about what nobody labelled, with the inputs that no other is about."""
    at, free = Prediction.created_at, ~exists().where(Label.input_sha256 == Prediction.input_sha256)
    due = _due(session, Prediction.id, at, keep.predictions_days, keep.predictions_rows, free)
    if due is None and keep.inputs_bytes:
        stored = session.scalar(select(func.coalesce(func.sum(Input.size), 0))) or 0
        if stored > keep.inputs_bytes:
            # First those that no prediction is about: deleting predictions would not free them.
            unused = session.scalars(select(Input.sha256).where(is_unused()).limit(BATCH)).all()
            if unused and (gone := delete_unused_inputs(session, unused)):
                return gone
            # As little as it takes: inputs may be large, and predictions about them are few.
            oldest = select(Prediction.id).where(free).order_by(Prediction.id).limit(BATCH // 10)
            due = Prediction.id.in_(oldest)
    if due is None:
        return 0
    return _delete_predictions(session, due)


def _recorded_traffic(session: Session) -> int:
    """What was recorded of the traffic of deployments, and is older than they say."""
    days = Deployment.recording["retention_days"].as_integer()
    free = ~exists().where(Label.input_sha256 == Prediction.input_sha256)
    deleted = 0
    for row in session.execute(select(Deployment.name, days.label("days")).where(days.is_not(None))):
        mine = free & (Prediction.deployment == row.name) & (Prediction.source == "v2")
        due = _due(session, Prediction.id, Prediction.created_at, row.days, 0, mine)
        deleted += 0 if due is None else _delete_predictions(session, due)
    return deleted


def _delete_predictions(session: Session, due: ColumnElement[bool]) -> int:
    """Delete predictions, with the inputs that no other is about."""
    digests = session.scalars(delete(Prediction).where(due).returning(Prediction.input_sha256)).all()
    delete_unused_inputs(session, list(set(digests)))
    return len(digests)


def _is_for_roll_back() -> ColumnElement[bool]:
    """Whether an event is one of the last two of an alias that there is: rolling back goes by them."""
    later = aliased(AliasEvent)
    newer = select(later.id).where(later.alias == AliasEvent.alias, later.id > AliasEvent.id)
    # No more are looked at than decide it: a busy alias has many.
    enough = newer.order_by(later.id).offset(ROLL_BACK_EVENTS - 1).limit(1).exists()
    return and_(exists().where(Alias.name == AliasEvent.alias), ~enough)


def _rows(
    session: Session, key: Column, at: Column, days: int, rows: int, may_go: ColumnElement[bool] | None = None
) -> int:
    due = _due(session, key, at, days, rows, may_go)
    if due is None:
        return 0
    return len(session.scalars(delete(key.class_).where(due).returning(key)).all())


def _due(
    session: Session, key: Column, at: Column, days: int, rows: int, may_go: ColumnElement[bool] | None = None
) -> ColumnElement[bool] | None:
    """One batch of the oldest rows that are too old or too many; None when there are none. 0 means no limit."""
    those = select(key, at.label("at"))
    if may_go is not None:
        those = those.where(may_go)
    oldest = those.order_by(key).limit(BATCH).subquery()
    if days:
        old = select(oldest.c.id).where(oldest.c.at < func.now() - timedelta(days=days))
        if session.scalar(old.limit(1)) is not None:
            return key.in_(old)
    if rows:
        # The newest row that is one too many.
        newest = session.scalar(select(key).order_by(key.desc()).offset(rows).limit(1))
        if newest is not None:
            return key.in_(select(oldest.c.id).where(oldest.c.id <= newest))
    return None
