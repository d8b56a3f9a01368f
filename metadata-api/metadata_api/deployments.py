"""Deployments: which version of which experiment is desired under which name, and what was observed.

Requests change only the desired state, in their own transaction, and leave an event; `reconcile` makes it
real and writes what it observes. Called by the routes for deployments. What Helm owns can only be looked at:
every change of it is a Conflict that says what to run instead.
"""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased, load_only

from metadata_api import aliases, versions
from metadata_api.database.tables import Deployment, DeploymentEvent, Experiment, ModelVersion
from metadata_api.deploying import helm
from metadata_api.deploying.base import Resources
from metadata_api.deploying.helm_release import HelmDeployment, HelmRelease
from metadata_api.errors import Conflict, NotFound
from metadata_api.schemas import deployments as bodies
from metadata_api.schemas.resources import NewResources
from metadata_api.schemas.versions import tensors
from serving_runtime.contracts import RUNTIMES

EVENTS_SHOWN = 50
Previous = aliased(ModelVersion)


def create(session: Session, new: bodies.NewDeployment, release: HelmRelease) -> str:
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
        desired="running",
    )
    made = session.scalar(statement.on_conflict_do_nothing(index_elements=["name"]).returning(Deployment.id))
    if made is None:
        raise Conflict(
            "deployment_exists", f"There is a deployment {name} already. Change its version instead."
        )
    _note(session, name, "create", version.number, f"experiment {new.experiment}, runtime {new.runtime}")
    return name


def change(session: Session, name: str, new: bodies.DeploymentChange, release: HelmRelease) -> None:
    """Want another version of the same experiment, another runtime, or other replicas, resources or options.

    The version desired until now can be rolled back to.
    """
    row = locked(session, name)
    if row.owner == helm.HELM:
        values = new.model_dump(exclude_none=True, exclude=set(helm.CHART_VALUES))
        if new.changes_resources:
            values["resources"] = _stored(new.resources)
        values |= {helm.CHART_VALUES[key]: value for key, value in new.options.items()}
        if new.version is not None:
            values |= helm.other_environment(session, row, ModelVersion.number == new.version)
        raise release.conflict(name, **values)
    said = []
    old = _number(session, row.version_id)
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
    if said:
        _note(session, name, "change", new.version or old, ", ".join(said))


def roll_back(session: Session, name: str, release: HelmRelease) -> None:
    """Want the previous version again; a second roll back returns to where the first one started."""
    row = locked(session, name)
    if row.previous_version_id is None:
        raise Conflict(
            "no_previous_version", f"Deployment {name} never had another version. Deploy one first."
        )
    if row.owner == helm.HELM:
        other = helm.other_environment(session, row, ModelVersion.id == row.previous_version_id)
        raise release.conflict(name, version=_number(session, row.previous_version_id), **other)
    old = _number(session, row.version_id)
    _set_desired(row, version_id=row.previous_version_id, previous_version_id=row.version_id)
    _note(session, name, "rollback", _number(session, row.version_id), f"from version {old}")


def stop(session: Session, name: str, release: HelmRelease) -> None:
    """Want nothing to run, and keep the deployment; nothing happens when that is so already."""
    row = locked(session, name)
    if row.owner == helm.HELM:
        raise release.conflict(name)
    _set_desired_state(session, row, "stopped", "stop")


def start(session: Session, name: str, release: HelmRelease) -> None:
    """Want a stopped deployment to run again; nothing happens when that is so already."""
    row = locked(session, name)
    if row.owner == helm.HELM:
        experiment = session.scalars(select(Experiment.name).where(Experiment.id == row.experiment_id)).one()
        raise release.conflict(name, experiment=experiment, version=_number(session, row.version_id))
    _set_desired_state(session, row, "running", "start")


def delete(session: Session, name: str, release: HelmRelease) -> None:
    """Want nothing of this name any more; its events and predictions stay. Rejected while aliases point at it."""
    row = locked(session, name)
    if row.owner == helm.HELM:
        raise release.conflict(name)
    aliases.require_no_aliases(session, row)
    number = _number(session, row.version_id)
    session.delete(row)
    _note(session, name, "delete", number, "")


def locked(session: Session, name: str) -> Deployment:
    """The row, which nobody else changes until the transaction ends; raises NotFound."""
    row = session.scalar(select(Deployment).where(Deployment.name == name).with_for_update())
    if row is None:
        raise _unknown(name)
    return row


def require(session: Session, name: str, release: HelmRelease) -> None:
    """Raise NotFound when there is no deployment of this name, not even one that only Helm knows."""
    known = session.scalar(select(Deployment.id).where(Deployment.name == name))
    if known is None and name not in release.deployments:
        raise _unknown(name)


def show(session: Session, name: str, *, serving_url: str) -> bodies.DeploymentDetail:
    """One deployment with its latest events; raises NotFound."""
    row = session.execute(_everything().where(Deployment.name == name)).one_or_none()
    if row is None:
        raise _unknown(name)
    mine = select(DeploymentEvent).where(DeploymentEvent.deployment == name)
    events = session.scalars(mine.order_by(DeploymentEvent.id.desc()).limit(EVENTS_SHOWN))
    shown = [bodies.DeploymentEvent.model_validate(event, from_attributes=True) for event in events]
    return bodies.DeploymentDetail(**_fields(row, serving_url), events=shown)


def list_page(
    session: Session, *, limit: int, after: str | None, serving_url: str, release: HelmRelease
) -> bodies.DeploymentPage:
    """`limit` deployments by name, those after the name `after` if given."""
    query = _everything().order_by(Deployment.name).limit(limit + 1)
    if after is not None:
        query = query.where(Deployment.name > after)
    rows = session.execute(query).all()
    items = [bodies.Deployment(**_fields(row, serving_url)) for row in rows[:limit]]
    total = session.scalar(select(func.count()).select_from(Deployment)) or 0
    unknown = helm.unregistered(session, release.deployments) if after is None else {}
    return bodies.DeploymentPage(
        items=items,
        total=total,
        next=items[-1].name if len(rows) > limit else None,
        unregistered=[_unregistered(name, one) for name, one in unknown.items()],
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
    ModelVersion.archive_settings,
)


def _everything() -> Select[Deployment, str, ModelVersion, int]:
    return (
        select(
            Deployment,
            Experiment.name,
            ModelVersion,
            Previous.number,
        )
        .options(load_only(*_SHOWN_OF_VERSION, raiseload=True))
        .join(Experiment, Deployment.experiment_id == Experiment.id)
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .outerjoin(Previous, Deployment.previous_version_id == Previous.id)
    )


def _fields(found: Row[Deployment, str, ModelVersion, int], serving_url: str) -> dict[str, Any]:
    row, experiment, version, previous = found
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
        "replicas": row.replicas,
        "resources": asdict(Resources.of(row.resources)) if row.resources else None,
        **{key: getattr(row, key) for key in bodies.OPTIONS},
        "owner": row.owner,
        "desired": row.desired,
        "observed": observed,
        "ready": row.desired == "running"
        and observed.state == "ready"
        and observed.version == version.number,
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


def _stored(resources: NewResources | None) -> dict[str, str | None] | None:
    """As the row keeps it; nothing of its own is null."""
    found = resources.model_dump() if resources else {}
    return found if any(found.values()) else None


def _said(resources: dict[str, str | None] | None) -> str:
    found = Resources.of(resources).given()
    return " and ".join(f"{name} {value}" for name, value in found.items()) or "the default resources"


def _or_default(value: int | None) -> str:
    return "the default" if value is None else str(value)


def _set_desired_state(session: Session, row: Deployment, desired: str, kind: str) -> None:
    if row.desired != desired:
        _set_desired(row, desired=desired)
        _note(session, row.name, kind, _number(session, row.version_id), "")


def _set_desired(row: Deployment, **changes: Any) -> None:
    for column, value in changes.items():
        setattr(row, column, value)
    row.updated_at = func.now()


def _note(session: Session, name: str, kind: str, number: int, detail: str) -> None:
    session.add(DeploymentEvent(deployment=name, kind=kind, version=number, detail=detail))
    session.flush()


def _number(session: Session, version_id: int) -> int:
    return session.scalars(select(ModelVersion.number).where(ModelVersion.id == version_id)).one()


def _unregistered(name: str, one: HelmDeployment) -> bodies.Unregistered:
    return bodies.Unregistered(
        name=name,
        storage_uri=one.spec.storage_uri,
        state=one.observed.state,
        reason=one.observed.reason,
    )


def _unknown(name: str) -> NotFound:
    return NotFound("deployment_unknown", f"There is no deployment {name}. Create it first.")
