"""Experiments: created one by one, listed page by page; called by the routes and, for rows, by imports."""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, insert, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from metadata_api import curves, directions
from metadata_api.curves import Curve
from metadata_api.database.pages import first_rows
from metadata_api.database.tables import Deployment, Experiment, MetricPoints, ModelVersion
from metadata_api.errors import Conflict, Invalid, NotFound
from metadata_api.schemas import experiments as bodies
from serving_runtime.contracts import NAME_PATTERN

Json = dict[str, Any]
MAX_METRIC_NAMES = 1000
COLUMNS = {
    "created_at": Experiment.created_at,
    "name": Experiment.name,
    "best_loss": Experiment.best_loss,
    "final_loss": Experiment.final_loss,
}
LARGE = (Experiment.parameters, Experiment.tags, Experiment.metrics, Experiment.description, Experiment.notes)


def create(session: Session, new: bodies.NewExperiment) -> bodies.Experiment:
    """Store an experiment with its curves; raises Conflict for a name that is taken, Invalid for a broken curve."""
    made = {metric: _curve(metric, curve) for metric, curve in new.curves.items()}
    row = new.model_dump(exclude={"curves", "display_name"}) | {"display_name": new.display_name or new.name}
    statement = upsert(Experiment).values(row | summaries(made, new.directions)).on_conflict_do_nothing()
    identity = session.scalar(statement.returning(Experiment.id))
    if identity is None:
        detail = f"There is an experiment {new.name} already. Choose another name, or upload a version to it."
        raise Conflict("experiment_exists", detail)
    points = [chunk for metric, curve in made.items() for chunk in curves.chunks(identity, metric, curve)]
    if points:
        session.execute(insert(MetricPoints), points)
    return show(session, new.name)


def show(session: Session, name: str) -> bodies.Experiment:
    """One experiment; raises NotFound."""
    row = session.scalar(select(Experiment).where(Experiment.name == name))
    if row is None:
        raise NotFound("experiment_unknown", f"There is no experiment {name}. See /v1/experiments.")
    return _shaped(session, [row])[0]


def list_page(
    session: Session,
    *,
    order: bodies.Order,
    search: str | None,
    limit: int,
    cursor: str | None,
    with_model: bool = False,
) -> bodies.ExperimentPage:
    """`limit` experiments that hold `search` in a name, after the one that the cursor names; fewer of large ones.

    `with_model` leaves out those that no model was uploaded to.
    """
    column, descending = COLUMNS[order.removeprefix("-")], order.startswith("-")
    query = select(Experiment)
    if search:
        holds = (
            column.icontains(search, autoescape=True) for column in (Experiment.name, Experiment.display_name)
        )
        query = query.where(or_(*holds))
    if with_model:
        query = query.where(exists().where(ModelVersion.experiment_id == Experiment.id))
    total = session.scalar(query.with_only_columns(func.count(Experiment.id))) or 0
    if cursor is not None:
        query = query.where(_after(column, descending, *_decode(cursor, order)))
    page, more = first_rows(session, _sorted(query, column, descending), LARGE, limit)
    following = _encode(page[-1], order) if more else None
    return bodies.ExperimentPage(items=_shaped(session, page), total=total, next=following)


def metric_names(session: Session) -> bodies.MetricNames:
    """The names of all metrics that an experiment has, at most MAX_METRIC_NAMES."""
    names = select(func.jsonb_object_keys(Experiment.metrics).label("name")).distinct().subquery()
    found = session.scalars(select(names.c.name).order_by(names.c.name).limit(MAX_METRIC_NAMES))
    return bodies.MetricNames(items=list(found))


def summaries(made: Mapping[str, Curve], said: Mapping[str, str]) -> Json:
    """The columns of an experiment that come from its curves; `said` is what it says of directions."""
    metrics = {metric: curves.summary(curve, directions.of(metric, said)) for metric, curve in made.items()}
    loss = metrics.get("loss", {})
    return {"metrics": metrics, "final_loss": loss.get("final"), "best_loss": loss.get("best")}


def _curve(metric: str, curve: bodies.NewCurve) -> Curve:
    try:
        return Curve(curve.steps, curve.values)
    except ValueError as error:
        raise Invalid("bad_curve", f"The curve {metric}: {error}.") from None


def _shaped(session: Session, rows: Sequence[Experiment]) -> list[bodies.Experiment]:
    """Rows as bodies; versions and deployments come by one query each, however many rows there are."""
    ids = [row.id for row in rows]
    newest = dict(
        session.execute(
            select(ModelVersion.experiment_id, func.max(ModelVersion.number))
            .where(ModelVersion.experiment_id.in_(ids))
            .group_by(ModelVersion.experiment_id)
        ).all()
    )
    serving: dict[int, list[str]] = {}
    deployed = select(Deployment.experiment_id, Deployment.name).where(Deployment.experiment_id.in_(ids))
    for experiment_id, name in session.execute(deployed.order_by(Deployment.name)):
        serving.setdefault(experiment_id, []).append(name)
    return [
        bodies.Experiment(
            name=row.name,
            display_name=row.display_name,
            description=row.description,
            parameters=row.parameters,
            tags=row.tags,
            metrics={name: bodies.MetricSummary(**found) for name, found in row.metrics.items()},
            source=row.source,
            state=row.state,
            notes=row.notes,
            directions=row.directions,
            key_metric=row.key_metric,
            created_at=row.created_at,
            updated_at=row.updated_at,
            points_at=row.points_at,
            ended_at=row.ended_at,
            latest_version=newest.get(row.id),
            deployments=serving.get(row.id, []),
        )
        for row in rows
    ]


def _sorted(query: Select[Experiment], column: Any, descending: bool) -> Select[Experiment]:
    """By the column, experiments without a value last, equal ones by age."""
    direction = column.desc() if descending else column.asc()
    if column.nullable:
        # Only where it means something: it would keep the others' indexes from being used.
        direction = direction.nulls_last()
    return query.order_by(direction, Experiment.id.desc() if descending else Experiment.id.asc())


def _after(column: Any, descending: bool, value: Any, identity: int) -> ColumnElement[bool]:
    """What comes after the row with this value and id, in the order of `_sorted`."""
    later = Experiment.id < identity if descending else Experiment.id > identity
    if value is None:
        return and_(column.is_(None), later)
    beyond = column < value if descending else column > value
    after = or_(beyond, and_(column == value, later))
    return or_(after, column.is_(None)) if column.nullable else after


def _encode(row: Experiment, order: bodies.Order) -> str:
    value = getattr(row, order.removeprefix("-"))
    if isinstance(value, datetime):
        value = value.isoformat()
    return base64.urlsafe_b64encode(json.dumps([order, value, row.id]).encode()).decode()


def _decode(cursor: str, order: bodies.Order) -> tuple[Any, int]:
    """Value and id of the row that a cursor names; raises Invalid for anything that `_encode` did not make."""
    try:
        made_for, value, identity = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if made_for != order or type(identity) is not int or not 0 <= identity < 2**63:
            raise ValueError("made for another list")
        return _value(order.removeprefix("-"), value), identity
    except (ValueError, TypeError, OverflowError) as error:
        detail = "The cursor is not one of this list in this order. Start again without it."
        raise Invalid("bad_cursor", detail) from error


def _value(column: str, value: Any) -> Any:
    """What a column can hold, from the JSON of a cursor; raises ValueError, TypeError or OverflowError."""
    if column == "created_at":
        return datetime.fromisoformat(value)
    if column == "name":
        if not re.fullmatch(NAME_PATTERN, value):
            raise ValueError("not a name")
        return value
    # Exact types: true is an int for Python and no number for Postgres.
    if value is not None and (type(value) not in (int, float) or not math.isfinite(float(value))):
        raise ValueError("not a loss")
    return value
