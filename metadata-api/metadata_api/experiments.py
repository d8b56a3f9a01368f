"""Experiments: created one by one, listed page by page; called by the routes and, for rows, by imports."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from metadata_api import curves, directions
from metadata_api.curves import Curve
from metadata_api.database.tables import Deployment, Experiment, MetricPoints, ModelVersion
from metadata_api.errors import Conflict, Invalid, NotFound
from metadata_api.listing import choices, grammar, list_query, page, rows
from metadata_api.listing import cursor as cursors
from metadata_api.schemas import experiments as bodies

Json = dict[str, Any]


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
        raise unknown(name)
    return _shaped(session, [row])[0]


def find(session: Session, names: Sequence[str]) -> list[curves.Found]:
    """The experiments of these names, each once and in their order; raises NotFound."""
    columns = (Experiment.id, Experiment.name, Experiment.display_name, Experiment.points_at)
    rows = session.execute(select(*columns).where(Experiment.name.in_(names))).all()
    found: dict[str, Any] = {row.name: row for row in rows}
    if missing := [name for name in names if name not in found]:
        raise unknown(*missing)
    return [found[name] for name in dict.fromkeys(names)]


def unknown(*names: str) -> NotFound:
    """The error for names that no experiment has."""
    return NotFound(
        "experiment_unknown", f"There is no experiment {', '.join(names[:10])}. See /v1/experiments."
    )


def list_page(
    session: Session,
    asked: bodies.Listing,
    *,
    limit: int,
    cursor: str | None,
) -> bodies.ExperimentPage:
    """`limit` experiments of a list, after the one that the cursor names; fewer of large ones.

    Raises Invalid for a filter, sort order, columns or cursor that cannot be read.
    """
    chosen = list_query.read(asked)
    columns = None if asked.columns is None else grammar.read_columns(asked.columns)
    made_for = asked.model_dump_json(exclude={"columns"})
    last = None if cursor is None else cursors.decode(cursor, made_for, chosen.order)
    found = page.find(session, chosen, last, limit + 1)
    shown = rows.load(session, [place.experiment_id for place in found.places[:limit]], columns)
    more = len(shown) < len(found.places)
    following = next((place for place in found.places if shown and place.experiment_id == shown[-1].id), None)
    return bodies.ExperimentPage(
        items=_shaped(session, shown),
        total=found.total,
        total_is_exact=found.is_exact,
        next=cursors.encode(following, made_for) if more and following else None,
    )


def metric_names(session: Session) -> bodies.MetricNames:
    """The names of all metrics that an experiment has a value of, at most 1,000."""
    found = choices.with_values(session, choices.known(session, section="metrics"))
    return bodies.MetricNames(items=[field.name for field in found])


def summaries(made: Mapping[str, Curve], said: Mapping[str, str]) -> Json:
    """The columns of an experiment that come from its curves; `said` is what it says of directions."""
    return {
        "metrics": {
            metric: curves.summary(curve, directions.of(metric, said)) for metric, curve in made.items()
        }
    }


def _curve(metric: str, curve: bodies.NewCurve) -> Curve:
    try:
        return Curve(curve.steps, curve.values)
    except ValueError as error:
        raise Invalid("bad_curve", f"The curve {metric}: {error}.") from None


def _shaped(session: Session, rows: Sequence[Experiment]) -> list[bodies.Experiment]:
    """Rows as bodies; versions and deployments come by one query each, however many rows there are."""
    ids = [row.id for row in rows]
    versions = (
        select(ModelVersion.experiment_id, ModelVersion.number, ModelVersion.task)
        .where(ModelVersion.experiment_id.in_(ids))
        .ext(distinct_on(ModelVersion.experiment_id))
        .order_by(ModelVersion.experiment_id, ModelVersion.number.desc())
    )
    newest = {row.experiment_id: (row.number, row.task) for row in session.execute(versions)}
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
            metrics=row.metrics,
            source=row.source,
            state=row.state,
            notes=row.notes,
            directions=row.directions,
            key_metric=row.key_metric,
            created_at=row.created_at,
            updated_at=row.updated_at,
            points_at=row.points_at,
            ended_at=row.ended_at,
            latest_version=newest.get(row.id, (None, None))[0],
            task=newest.get(row.id, (None, None))[1],
            deployments=serving.get(row.id, []),
        )
        for row in rows
    ]
