"""Deployments as the reconcile loop reads them, many at once, and the statuses that it writes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Integer, Text, cast, column, func, literal_column, select, update, values
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from metadata_api.database.tables import Deployment, DeploymentEvent, Experiment, ModelVersion
from metadata_api.deploying.base import Desired, Recording, Resources, ServingOptions
from metadata_api.deploying.status import Status
from serving_runtime.contracts import BASE_ENVIRONMENT

# The transaction that wrote a row last, kept by Postgres: another one means that the row was changed.
ROW_VERSION = cast(literal_column("deployments.xmin"), Text)


@dataclass(frozen=True)
class Row:
    """A deployment as the database has it: what is desired, and the status that was last written down."""

    id: int
    row_version: str
    desired: Desired
    is_running: bool
    owner: str
    status: Status


def read_all(session: Session) -> list[Row]:
    """All deployments."""
    # Columns, not objects: this is read twice a second, with a thousand deployments.
    found = session.execute(
        select(
            Deployment.id,
            ROW_VERSION.label("row_version"),
            Deployment.name,
            Experiment.name.label("experiment"),
            ModelVersion.number,
            ModelVersion.sha256,
            Deployment.runtime,
            Deployment.replicas,
            Deployment.resources,
            Deployment.startup_seconds,
            Deployment.response_seconds,
            Deployment.batch_size,
            Deployment.batch_delay_ms,
            Deployment.recording,
            ModelVersion.archive_settings,
            ModelVersion.environment,
            Deployment.desired,
            Deployment.owner,
            Deployment.observed_state,
            Deployment.observed_version,
            Deployment.observed_reason,
            Deployment.observed_containment,
        )
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .join(Experiment, Deployment.experiment_id == Experiment.id)
    )
    return [
        Row(
            id=row.id,
            row_version=row.row_version,
            desired=Desired(
                row.name,
                row.experiment,
                row.number,
                row.sha256,
                row.runtime,
                row.replicas,
                Resources.of(row.resources),
                _options(row),
                row.environment or BASE_ENVIRONMENT,
                Recording.of(row.recording),
            ),
            is_running=row.desired == "running",
            owner=row.owner,
            status=Status(
                row.observed_state, row.observed_version, row.observed_reason, row.observed_containment
            ),
        )
        for row in found
    ]


def _options(row: Any) -> ServingOptions:
    own = ServingOptions(row.startup_seconds, row.response_seconds, row.batch_size, row.batch_delay_ms)
    # What Helm declares is compared with its values, which know no archive.
    return own if row.owner == "helm" else own.or_of_archive(row.archive_settings)


def write_statuses(session: Session, changed: Sequence[tuple[Row, Status]]) -> None:
    """Write statuses that differ from those of their rows, and an event for each that is more than a new reason.

    A row that somebody changed since it was read is left as it is: the next round judges it anew.
    """
    moved = [(row, now) for row, now in changed if now[:2] != row.status[:2]]
    reworded = [(row, now) for row, now in changed if now[:2] == row.status[:2]]
    written = set(_write(session, moved, {"observed_at": func.now()}))
    session.add_all(
        DeploymentEvent(
            deployment=row.desired.name,
            kind=now.state,
            version=_version_of(row, now),
            detail=now.reason or "",
        )
        for row, now in moved
        if row.id in written
    )
    _write(session, reworded, {})


def _version_of(row: Row, now: Status) -> int | None:
    """The version that an event is about."""
    # While the desired version is on its way, it is the one before that answers.
    on_its_way = row.is_running and now.state in ("pending", "starting", "failed")
    return row.desired.version if on_its_way else now.version


def _write(session: Session, changes: Sequence[tuple[Row, Status]], more: Mapping[str, Any]) -> Sequence[int]:
    """All changes in one statement; ids of the rows that nobody changed since they were read."""
    if not changes:
        return []
    columns = (
        column("id", BigInteger),
        column("row_version", Text),
        column("state", Text),
        column("version", Integer),
        column("reason", Text),
        column("containment", JSONB(none_as_null=True)),
    )
    # A cast, because Postgres cannot tell the type of a column that is all null.
    new = values(*columns, name="new").data([(row.id, row.row_version, *now) for row, now in changes])
    statement = (
        update(Deployment)
        .where(Deployment.id == new.c.id, new.c.row_version == ROW_VERSION)
        .values(
            {
                "observed_state": new.c.state,
                "observed_version": cast(new.c.version, Integer),
                "observed_reason": cast(new.c.reason, Text),
                "observed_containment": cast(new.c.containment, JSONB),
                **more,
            }
        )
        .returning(Deployment.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).all()
