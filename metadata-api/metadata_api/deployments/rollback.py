"""What a roll back of a deployment would change, before anybody does it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from metadata_api import versions
from metadata_api.database.tables import Alias, Deployment, Experiment, ModelVersion
from metadata_api.deployments.changes import no_previous, unknown
from metadata_api.schemas.rollbacks import RollbackPreview, RollbackSide
from serving_runtime.contracts import BASE_ENVIRONMENT

COMPARED = ("task", "handler", "environment", "labels", "inputs", "outputs", "archive_settings")


def preview(session: Session, name: str) -> RollbackPreview:
    """Both versions, in what they differ, and which aliases it concerns; raises NotFound and Conflict."""
    found = session.execute(
        select(Deployment, Experiment.name)
        .join(Experiment, Deployment.experiment_id == Experiment.id)
        .where(Deployment.name == name)
    ).one_or_none()
    if found is None:
        raise unknown(name)
    row, experiment = found
    if row.previous_version_id is None:
        raise no_previous(name)
    current, previous = (
        session.get_one(ModelVersion, identity) for identity in (row.version_id, row.previous_version_id)
    )
    return RollbackPreview(
        deployment=name,
        experiment=experiment,
        current=_side(current),
        previous=_side(previous),
        differs=[field for field in COMPARED if _of(current, field) != _of(previous, field)],
        aliases_stale=_aliases(session, row, current),
        aliases_live=_aliases(session, row, previous),
    )


def _side(row: ModelVersion) -> RollbackSide:
    return RollbackSide(
        version=row.number,
        sha256=row.sha256,
        task=versions.interface_of(row).task,
        handler=row.handler,
        environment=row.environment or BASE_ENVIRONMENT,
        metrics=row.metrics,
        uploaded_by=row.uploaded_by,
        created_at=row.created_at,
    )


def _of(row: ModelVersion, field: str) -> object:
    """A field as it is compared, with what is derived where nothing is stored."""
    if field == "environment":
        return row.environment or BASE_ENVIRONMENT
    return getattr(versions.interface_of(row) if field in ("task", "inputs", "outputs") else row, field)


def _aliases(session: Session, row: Deployment, version: ModelVersion) -> list[str]:
    here = select(Alias.name).where(Alias.deployment_id == row.id, Alias.version_id == version.id)
    return list(session.scalars(here.order_by(Alias.name)))
