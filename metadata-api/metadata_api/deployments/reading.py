"""Deployments as they are shown: one with its latest events, or a page of those that match, sorted by the database."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased, load_only

from metadata_api import versions
from metadata_api.database import cursors
from metadata_api.database.tables import Deployment, Experiment, ModelVersion
from metadata_api.deploying import helm
from metadata_api.deploying.base import Recording, Resources
from metadata_api.deploying.helm_release import HelmDeployment, HelmRelease
from metadata_api.deployments import events, traffic
from metadata_api.deployments.changes import unknown
from metadata_api.schemas import deployments as bodies
from metadata_api.schemas.versions import tensors
from serving_runtime.contracts import BASE_ENVIRONMENT, RUNTIMES

EVENTS_SHOWN = 50
Previous = aliased(ModelVersion)
state_of: ColumnElement[str] = case(
    (Deployment.observed_state.in_(("failed", "unknown")), Deployment.observed_state),
    (and_(Deployment.desired == "stopped", Deployment.observed_state == "stopped"), "stopped"),
    (
        and_(
            Deployment.desired == "running",
            Deployment.observed_state == "ready",
            Deployment.observed_version == ModelVersion.number,
        ),
        "ready",
    ),
    else_="changing",
)
"""Desired and observed state in one word."""
_RANK = case({state: rank for rank, state in enumerate(get_args(bodies.State))}, value=state_of)
_KEYS: dict[str, Any] = {
    "state": _RANK,
    "since": Deployment.observed_at,
    "experiment": Experiment.name,
}
"""What a page is sorted by, before the name."""


def show(session: Session, name: str, *, serving_url: str) -> bodies.DeploymentDetail:
    """One deployment with its latest events; raises NotFound."""
    row = session.execute(_everything().where(Deployment.name == name)).one_or_none()
    if row is None:
        raise unknown(name)
    latest = events.latest(session, name, EVENTS_SHOWN)
    return bodies.DeploymentDetail(**_fields(row, serving_url), events=latest)


def list_page(
    session: Session, wanted: bodies.DeploymentQuery, *, serving_url: str, release: HelmRelease
) -> bodies.DeploymentPage:
    """A page of the deployments that match, and how many there are of each state; raises Invalid for a bad cursor."""
    matching = _matching(wanted)
    counts = dict(session.execute(_counted(matching)).all())
    chosen = matching if wanted.state is None else matching.where(state_of == wanted.state)
    key, descending = _KEYS.get(wanted.sort.removeprefix("-")), wanted.sort.startswith("-")
    columns = [Deployment.name] if key is None else [key, Deployment.name]
    query = chosen.order_by(*(column.desc() if descending else column for column in columns))
    if wanted.cursor is not None:
        last = tuple_(*_decode(wanted.cursor, wanted.sort, len(columns)))
        query = query.where(tuple_(*columns) < last if descending else tuple_(*columns) > last)
    rows = session.execute(query.limit(wanted.limit + 1)).all()
    items = [bodies.Deployment(**_fields(row, serving_url)) for row in rows[: wanted.limit]]
    if wanted.traffic_minutes is not None:
        found = traffic.recent(session, [item.name for item in items], wanted.traffic_minutes)
        items = [item.model_copy(update={"traffic": found[item.name]}) for item in items]
    is_first = wanted.cursor is None and wanted.state is None
    unregistered = helm.unregistered(session, release.deployments) if is_first else {}
    return bodies.DeploymentPage(
        items=items,
        total=sum(counts.values()) if wanted.state is None else counts.get(wanted.state, 0),
        counts={state: counts.get(state, 0) for state in get_args(bodies.State)},
        next=_encode(rows[wanted.limit - 1], wanted.sort) if len(rows) > wanted.limit else None,
        unregistered=[_unregistered(name, one) for name, one in unregistered.items()],
        runtimes=list(RUNTIMES),
    )


# A version's golden pair and training record are large, and are not needed.
_SHOWN_OF_VERSION = (
    ModelVersion.number,
    ModelVersion.inputs,
    ModelVersion.outputs,
    ModelVersion.labels,
    ModelVersion.handler,
    ModelVersion.task,
    ModelVersion.environment,
    ModelVersion.archive_settings,
)
_Found = Row[Deployment, str, ModelVersion, int, str, int]
_Query = Select[Deployment, str, ModelVersion, int, str, int]


def _everything() -> _Query:
    return (
        select(Deployment, Experiment.name, ModelVersion, Previous.number, state_of, _RANK)
        .options(load_only(*_SHOWN_OF_VERSION, raiseload=True))
        .join(Experiment, Deployment.experiment_id == Experiment.id)
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .outerjoin(Previous, Deployment.previous_version_id == Previous.id)
    )


def _matching(wanted: bodies.DeploymentQuery) -> _Query:
    query = _everything()
    if wanted.q:
        holds = (column.icontains(wanted.q, autoescape=True) for column in (Deployment.name, Experiment.name))
        query = query.where(or_(*holds))
    return query if wanted.experiment is None else query.where(Experiment.name == wanted.experiment)


def _counted(query: _Query) -> Select[str, int]:
    """How many rows of a query there are of each state."""
    return query.with_only_columns(state_of, func.count()).group_by(state_of)


def _encode(row: _Found, sort: str) -> str:
    deployment, experiment, _, _, _, rank = row
    keys = {"state": rank, "since": deployment.observed_at.isoformat(), "experiment": experiment}
    key = sort.removeprefix("-")
    last = [keys[key], deployment.name] if key in keys else [deployment.name]
    return cursors.encode(sort, last)


def _decode(cursor: str, sort: str, length: int) -> list[Any]:
    """What the page before ended with; raises Invalid for anything that `_encode` did not make."""
    with cursors.decoded(cursor, sort) as last:
        if len(last) != length or not isinstance(last[-1], str):
            raise ValueError("made for another list")
        if sort.endswith("since"):
            last[0] = datetime.fromisoformat(last[0])
            if last[0].tzinfo is None:
                raise ValueError("without a time zone")
        elif type(last[0]) is not (int if sort.endswith("state") else str):
            raise ValueError("not a key of this list")
        if "\x00" in str(last) or not -(2**31) < (last[0] if type(last[0]) is int else 0) < 2**31:
            raise ValueError("not a key that a row can have")
        str(last).encode()
        return last


def _fields(found: _Found, serving_url: str) -> dict[str, Any]:
    row, experiment, version, previous, state, _ = found
    taken = versions.interface_of(version)
    observed = bodies.Observed(
        state=row.observed_state,
        version=row.observed_version,
        reason=row.observed_reason,
        containment=row.observed_containment,
        since=row.observed_at,
    )
    return {
        "name": row.name,
        "experiment": experiment,
        "version": version.number,
        "runtime": row.runtime,
        "environment": version.environment or BASE_ENVIRONMENT,
        "replicas": row.replicas,
        "resources": asdict(Resources.of(row.resources)) if row.resources else None,
        **{key: getattr(row, key) for key in bodies.OPTIONS},
        "recording": asdict(Recording.of(row.recording)),
        "owner": row.owner,
        "desired": row.desired,
        "observed": observed,
        "state": state,
        "ready": state == "ready",
        "previous_version": previous,
        "archive_settings": version.archive_settings,
        "url": f"{serving_url.replace('{name}', row.name)}/v2/models/{row.name}",
        "task": taken.task,
        "inputs": tensors(taken.inputs),
        "outputs": tensors(taken.outputs),
        "labels": taken.labels,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _unregistered(name: str, one: HelmDeployment) -> bodies.Unregistered:
    return bodies.Unregistered(
        name=name,
        storage_uri=one.spec.storage_uri,
        state=one.observed.state,
        reason=one.observed.reason,
    )
