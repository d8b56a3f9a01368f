"""Changes of deployments: what is desired under which name, each with an event that says who wanted it and why.

Requests change only the desired state, in their own transaction; `reconcile` makes it real and writes what it
observes. What Helm owns can only be looked at: every change of it is a Conflict that says what to run instead.
"""

from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from metadata_api import aliases, versions
from metadata_api.database.tables import Deployment, Experiment, ModelVersion
from metadata_api.deploying import helm
from metadata_api.deploying.base import Recording, Resources
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.deployments.events import By, note
from metadata_api.errors import Conflict, NotFound
from metadata_api.schemas import deployments as bodies
from metadata_api.schemas.recording import NewRecording
from metadata_api.schemas.resources import NewResources


def create(session: Session, new: bodies.NewDeployment, release: HelmRelease, by: By) -> str:
    """Want a deployment to run; returns its name. Raises NotFound and Conflict."""
    name = new.name or new.experiment
    # One of Helm's may have no row.
    if name in release.deployments:
        values = {"experiment": new.experiment, **({"version": new.version} if new.version else {})}
        raise release.conflict(name, **values)
    aliases.reserve_name(session, name)
    versions.require_experiment(session, new.experiment)
    version = versions.find(session, new.experiment, new.version)
    statement = insert(Deployment).values(
        name=name,
        experiment_id=version.experiment_id,
        version_id=version.id,
        runtime=new.runtime,
        replicas=new.replicas,
        resources=_stored(new.resources),
        **{key: getattr(new, key) for key in bodies.OPTIONS},
        recording=new.recording.model_dump() if new.recording else None,
        desired="running",
    )
    made = session.scalar(statement.on_conflict_do_nothing(index_elements=["name"]).returning(Deployment.id))
    if made is None:
        raise Conflict(
            "deployment_exists", f"There is a deployment {name} already. Change its version instead."
        )
    note(session, name, "create", version.number, f"experiment {new.experiment}, runtime {new.runtime}", by)
    return name


def change(session: Session, name: str, new: bodies.DeploymentChange, release: HelmRelease, by: By) -> None:
    """Want another version of the same experiment, another runtime, or other replicas, resources, options or recording.

    The version desired until now can be rolled back to.
    """
    row = locked(session, name)
    if row.owner == helm.HELM:
        values = new.model_dump(exclude_none=True, exclude={*helm.CHART_VALUES, "recording", "reason"})
        if new.changes_resources:
            values["resources"] = _stored(new.resources)
        if new.changes_recording:
            values["recording"] = _as_chart_values(new.recording)
        values |= {helm.CHART_VALUES[key]: value for key, value in new.options.items()}
        if new.version is not None:
            values |= helm.other_environment(session, row, ModelVersion.number == new.version)
        raise release.conflict(name, **values)
    said = []
    old = number(session, row.version_id)
    if new.version is not None and new.version != old:
        experiment = session.scalars(select(Experiment.name).where(Experiment.id == row.experiment_id)).one()
        version = versions.find(session, experiment, new.version)
        _set_desired(row, version_id=version.id, previous_version_id=row.version_id)
        said.append(f"from version {old}")
    if new.runtime is not None and new.runtime != row.runtime:
        said.append(f"from runtime {row.runtime} to {new.runtime}")
        _set_desired(row, runtime=new.runtime)
    if new.replicas is not None and new.replicas != row.replicas:
        said.append(f"from {row.replicas} to {new.replicas} replicas")
        _set_desired(row, replicas=new.replicas)
    resources = _stored(new.resources)
    if new.changes_resources and resources != row.resources:
        said.append(f"from {_said(row.resources)} to {_said(resources)}")
        _set_desired(row, resources=resources)
    for key, value in new.options.items():
        if value != (now := getattr(row, key)):
            said.append(f"{key} from {_or_default(now)} to {_or_default(value)}")
            _set_desired(row, **{key: value})
    if new.changes_recording:
        now, then = Recording.of(row.recording), _recording(new.recording)
        if now != then:
            said.append(f"recording from {now} to {then}")
            _set_desired(row, recording=asdict(then))
    if said:
        note(session, name, "change", new.version or old, ", ".join(said), by)


def roll_back(session: Session, name: str, release: HelmRelease, by: By) -> None:
    """Want the previous version again; a second roll back returns to where the first one started."""
    row = locked(session, name)
    if row.previous_version_id is None:
        raise no_previous(name)
    if row.owner == helm.HELM:
        other = helm.other_environment(session, row, ModelVersion.id == row.previous_version_id)
        raise release.conflict(name, version=number(session, row.previous_version_id), **other)
    old = number(session, row.version_id)
    _set_desired(row, version_id=row.previous_version_id, previous_version_id=row.version_id)
    note(session, name, "rollback", number(session, row.version_id), f"from version {old}", by)


def stop(session: Session, name: str, release: HelmRelease, by: By) -> None:
    """Want nothing to run, and keep the deployment; nothing happens when that is so already."""
    row = locked(session, name)
    if row.owner == helm.HELM:
        raise release.conflict(name)
    _set_desired_state(session, row, "stopped", "stop", by)


def start(session: Session, name: str, release: HelmRelease, by: By) -> None:
    """Want a stopped deployment to run again; nothing happens when that is so already."""
    row = locked(session, name)
    if row.owner == helm.HELM:
        experiment = session.scalars(select(Experiment.name).where(Experiment.id == row.experiment_id)).one()
        raise release.conflict(name, experiment=experiment, version=number(session, row.version_id))
    _set_desired_state(session, row, "running", "start", by)


def delete(session: Session, name: str, release: HelmRelease, by: By) -> None:
    """Want nothing of this name any more; its events and predictions stay. Rejected while aliases point at it."""
    row = locked(session, name)
    if row.owner == helm.HELM:
        raise release.conflict(name)
    aliases.require_no_aliases(session, row)
    last = number(session, row.version_id)
    session.delete(row)
    note(session, name, "delete", last, "", by)


def locked(session: Session, name: str) -> Deployment:
    """The row, which nobody else changes until the transaction ends; raises NotFound."""
    row = session.scalar(select(Deployment).where(Deployment.name == name).with_for_update())
    if row is None:
        raise unknown(name)
    return row


def find(session: Session, name: str) -> Deployment:
    """The row as it is now; raises NotFound."""
    row = session.scalar(select(Deployment).where(Deployment.name == name))
    if row is None:
        raise unknown(name)
    return row


def require(session: Session, name: str, release: HelmRelease) -> None:
    """Raise NotFound when there is no deployment of this name, not even one that only Helm knows."""
    known = session.scalar(select(Deployment.id).where(Deployment.name == name))
    if known is None and name not in release.deployments:
        raise unknown(name)


def _stored(resources: NewResources | None) -> dict[str, str | None] | None:
    """As the row keeps it; nothing of its own is null."""
    found = resources.model_dump() if resources else {}
    return found if any(found.values()) else None


def _recording(new: NewRecording | None) -> Recording:
    return Recording.of(new.model_dump() if new else None)


def _as_chart_values(recording: NewRecording | None) -> dict[str, Any] | None:
    if recording is None:
        return None
    return {helm.RECORDING_VALUES[key]: value for key, value in recording.model_dump().items()}


def _said(resources: dict[str, str | None] | None) -> str:
    found = Resources.of(resources).given()
    return " and ".join(f"{name} {value}" for name, value in found.items()) or "the default resources"


def _or_default(value: int | None) -> str:
    return "the default" if value is None else str(value)


def _set_desired_state(session: Session, row: Deployment, desired: str, kind: str, by: By) -> None:
    if row.desired != desired:
        _set_desired(row, desired=desired)
        note(session, row.name, kind, number(session, row.version_id), "", by)


def _set_desired(row: Deployment, **changes: Any) -> None:
    for column, value in changes.items():
        setattr(row, column, value)
    row.updated_at = func.now()


def number(session: Session, version_id: int) -> int:
    """Of a version, within its experiment."""
    return session.scalars(select(ModelVersion.number).where(ModelVersion.id == version_id)).one()


def no_previous(name: str) -> Conflict:
    """The error for a deployment that cannot be rolled back."""
    return Conflict("no_previous_version", f"Deployment {name} never had another version. Deploy one first.")


def unknown(name: str) -> NotFound:
    """The error for a deployment that is not there."""
    return NotFound("deployment_unknown", f"There is no deployment {name}. Create it first.")
