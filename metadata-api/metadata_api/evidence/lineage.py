"""Lineage: from one recorded answer to the alias and its move, the deployment, the archive and the training run.

Called by the route for predictions. What has changed since is read from the logs, and never from what has the same name
today: versions are found by their id, the target of an alias by the event that a prediction has recorded.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, undefer

from metadata_api import alias_events, versions
from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.tables import AliasEvent, Deployment, DeploymentEvent, Experiment, ModelVersion
from metadata_api.environments import Environments
from metadata_api.predicting import recorded
from metadata_api.schemas import lineage as bodies
from metadata_api.schemas.aliases import AliasEvent as AliasEventBody
from metadata_api.schemas.versions import tensors
from serving_runtime.contracts import BASE_ENVIRONMENT


def show(session: Session, uid: UUID, environments: Environments) -> bodies.Lineage:
    """The lineage of a recorded prediction; raises NotFound."""
    row = recorded.find(session, uid)
    gaps: list[str] = []
    kind = session.scalars(select(Input.kind).where(Input.sha256 == row.input_sha256)).one()
    version = _version(session, row)
    return bodies.Lineage(
        prediction_id=row.uid,
        created_at=row.created_at,
        status=row.status,
        input=bodies.InputThere(sha256=row.input_sha256, kind=kind, url=f"/v1/inputs/{row.input_sha256}"),
        alias=_alias(session, row, gaps),
        aliases_then=_aliases_then(session, row),
        deployment=_deployment(session, row, gaps),
        version=_shown_version(row, version, environments, gaps),
        experiment=_experiment(session, version, gaps),
        gaps=gaps,
    )


def _version(session: Session, row: Prediction) -> ModelVersion | None:
    """By its id: another experiment may have the name today."""
    if row.version_id is None:
        return None
    return session.get(ModelVersion, row.version_id, options=[undefer(ModelVersion.training)])


def _alias(session: Session, row: Prediction, gaps: list[str]) -> bodies.AliasThere | None:
    if row.alias is None:
        return None
    number = row.lineage.get("alias_event")
    if number is None:
        # Of before it was recorded: the newest that was there when the answer was, which a move in between would hide.
        query = _events_until(row).where(AliasEvent.alias == row.alias)
        event = session.scalar(query.order_by(AliasEvent.id.desc()).limit(1))
        gaps.append(
            "The move of the alias is taken from its log by time: it was not recorded with the answer."
        )
    else:
        event = session.get(AliasEvent, number)
    if event is None:
        gaps.append(f"The log of alias {row.alias} does not reach back to this answer.")
    return bodies.AliasThere(name=row.alias, event=alias_events.shown(event) if event else None)


def _aliases_then(session: Session, row: Prediction) -> list[AliasEventBody]:
    """The newest event of each alias until then, of those that led to what answered."""
    newest = (
        _events_until(row)
        .with_only_columns(func.max(AliasEvent.id).label("id"))
        .group_by(AliasEvent.alias)
        .subquery()
    )
    found = session.scalars(
        select(AliasEvent)
        .join(newest, AliasEvent.id == newest.c.id)
        .where(
            AliasEvent.kind != "delete",
            AliasEvent.deployment == row.deployment,
            AliasEvent.experiment == row.lineage.get("experiment"),
            AliasEvent.version == row.lineage.get("version"),
        )
        .order_by(AliasEvent.alias)
    )
    return [alias_events.shown(event) for event in found]


def _events_until(row: Prediction) -> Select[AliasEvent]:
    return select(AliasEvent).where(AliasEvent.at <= row.created_at)


def _deployment(session: Session, row: Prediction, gaps: list[str]) -> bodies.DeploymentThere:
    """The deployment as it was, and the change that had chosen its version."""
    wanted, newest = row.lineage.get("desired_version"), row.lineage.get("deployment_event")
    mine = [DeploymentEvent.deployment == row.deployment]
    mine.append(DeploymentEvent.at <= row.created_at if newest is None else DeploymentEvent.id <= newest)
    other = select(func.max(DeploymentEvent.id)).where(
        *mine, (DeploymentEvent.kind == "delete") | (DeploymentEvent.version != wanted), _chooses_version()
    )
    # Later changes of the same version are about something else.
    event = session.scalar(
        select(DeploymentEvent)
        .where(*mine, DeploymentEvent.version == wanted, DeploymentEvent.kind != "delete", _chooses_version())
        .where(DeploymentEvent.id > func.coalesce(other.scalar_subquery(), 0))
        .order_by(DeploymentEvent.id)
        .limit(1)
    )
    if event is None:
        gaps.append(
            f"The log of deployment {row.deployment} does not say since when it was to serve this version."
        )
    present = session.scalar(select(Deployment.id).where(Deployment.name == row.deployment)) is not None
    return bodies.DeploymentThere(
        name=row.deployment,
        runtime=row.lineage.get("runtime"),
        desired_version=wanted,
        since=event.at if event else None,
        change=event.kind if event else None,
        present=present,
    )


def _chooses_version() -> ColumnElement[bool]:
    return DeploymentEvent.kind.in_(("create", "change", "rollback", "delete"))


def _shown_version(
    row: Prediction, version: ModelVersion | None, environments: Environments, gaps: list[str]
) -> bodies.VersionThere:
    said = row.lineage
    if version is None:
        gaps.append(
            "No version answered."
            if said.get("version") is None
            else "The version was deleted: what is said of it is what was recorded with the answer."
        )
        return bodies.VersionThere(
            experiment=said["experiment"],
            version=said.get("version"),
            mar_sha256=said.get("mar_sha256"),
            present=False,
        )
    training = version.training or {}
    if not training:
        gaps.append("The archive has no training record: its parameters and data set are not known.")
    taken = versions.interface_of(version)
    return bodies.VersionThere(
        experiment=said["experiment"],
        version=version.number,
        mar_sha256=version.sha256,
        present=True,
        uploaded_sha256=version.uploaded_sha256,
        uploaded_by=version.uploaded_by,
        uploaded_from=version.uploaded_from,
        uploaded_at=version.created_at,
        signed_by=version.signed_by,
        handler=version.handler,
        task=taken.task,
        inputs=[one.model_dump() for one in tensors(taken.inputs)],
        outputs=[one.model_dump() for one in tensors(taken.outputs)],
        labels=list(taken.labels),
        training_metrics=version.metrics,
        training_parameters=_object(training.get("parameters")),
        seed=training.get("seed") if type(training.get("seed")) is int else None,
        data_set=_data_set(training, gaps),
        environment=_environment(version, environments, gaps),
    )


def _data_set(training: dict[str, Any], gaps: list[str]) -> bodies.DataSet | None:
    said = _object(training.get("dataset")) or {}
    name, digest = (said.get(key) if isinstance(said.get(key), str) else None for key in ("name", "sha256"))
    if training and digest is None:
        gaps.append("The training record says no sha256 of its data set.")
    return bodies.DataSet(name=name, sha256=digest) if name or digest else None


def _environment(
    version: ModelVersion, environments: Environments, gaps: list[str]
) -> bodies.EnvironmentThere:
    name = version.environment or BASE_ENVIRONMENT
    now = environments.sha256(name)
    if version.environment_sha256 is None:
        gaps.append("What the environment had when the archive was uploaded was not recorded.")
    elif now != version.environment_sha256:
        gaps.append("The environment has other packages now than when the archive was uploaded.")
    return bodies.EnvironmentThere(name=name, sha256_at_upload=version.environment_sha256, sha256_now=now)


def _experiment(
    session: Session, version: ModelVersion | None, gaps: list[str]
) -> bodies.ExperimentThere | None:
    found = session.get(Experiment, version.experiment_id) if version else None
    if found is None:
        gaps.append("The training run is not known any more.")
        return None
    if not found.metrics:
        gaps.append("The experiment has no curves.")
    return bodies.ExperimentThere.model_validate(found, from_attributes=True)


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
