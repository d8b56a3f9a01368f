"""Rows of the deployments that Helm owns: they follow what its values declare, as `helm_release` knows it.

The reconcile loop keeps the rows; requests only read them and are told what to run instead.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, select, tuple_
from sqlalchemy.orm import Session

from metadata_api.database.tables import Alias, Deployment, DeploymentEvent, Experiment, ModelVersion
from metadata_api.deploying.base import NO_RECORDING, Desired
from metadata_api.deploying.helm_release import HelmDeployment, HelmSpec
from serving_runtime.contracts import BASE_ENVIRONMENT, RUNTIMES

HELM = "helm"
API = "api"
# What the chart calls the options of a deployment.
CHART_VALUES = {
    "startup_seconds": "startupSeconds",
    "response_seconds": "responseSeconds",
    "batch_size": "batchSize",
    "batch_delay_ms": "batchDelayMs",
}
RECORDING_VALUES = {"rate": "rate", "answers": "answers", "retention_days": "retentionDays"}
"""What the chart calls those of its `recording`."""


def is_in_sync(rows: Mapping[str, Desired], deployments: Mapping[str, HelmDeployment]) -> bool:
    """Whether Helm's running rows say what its values say; never while one of them is not registered."""
    return rows.keys() == deployments.keys() and all(
        one.spec.is_met_by(rows[name]) for name, one in deployments.items()
    )


def sync(session: Session, deployments: Mapping[str, HelmDeployment]) -> None:
    """Make the rows of Helm's deployments say what its values say; what is not registered gets no row."""
    declared = {name: one.spec for name, one in deployments.items()}
    versions = _registered(session, declared)
    rows = {
        row.name: row
        for row in session.scalars(
            select(Deployment).where((Deployment.owner == HELM) | Deployment.name.in_(declared))
        )
    }
    for name, (experiment_id, version_id) in versions.items():
        one = declared[name]
        spec = {
            "owner": HELM,
            "experiment_id": experiment_id,
            "version_id": version_id,
            "runtime": one.runtime,
            "replicas": one.replicas,
            "resources": asdict(one.resources) if one.resources.given() else None,
            "recording": asdict(one.recording) if one.recording != NO_RECORDING else None,
            **asdict(one.options),
            "desired": "running",
        }
        _upsert(session, name, rows.get(name), spec, one)
    gone = [row for name, row in rows.items() if row.owner == HELM and name not in versions]
    for row in gone:
        _remove(session, row)
    session.flush()


def unregistered(session: Session, deployments: Mapping[str, HelmDeployment]) -> dict[str, HelmDeployment]:
    """Those of Helm's deployments that have no row, because their experiment or version is not registered."""
    if not deployments:
        return {}
    query = select(Deployment.name).where(Deployment.owner == HELM, Deployment.name.in_(deployments))
    known = set(session.scalars(query))
    return {name: one for name, one in sorted(deployments.items()) if name not in known}


def other_environment(session: Session, row: Deployment, which: ColumnElement[bool]) -> dict[str, str]:
    """The chart's value for another version of the experiment, where its environment is not that of the present one."""
    mine = select(ModelVersion.environment).where(ModelVersion.experiment_id == row.experiment_id)
    now = session.scalar(mine.where(ModelVersion.id == row.version_id)) or BASE_ENVIRONMENT
    then = session.scalar(mine.where(which)) or BASE_ENVIRONMENT
    return {} if then == now else {"environment": then}


def _registered(session: Session, declared: Mapping[str, HelmSpec]) -> dict[str, tuple[int, int]]:
    """Ids of experiment and version by deployment."""
    pairs = {
        (one.experiment, one.version)
        for one in declared.values()
        if one.version is not None and one.runtime in RUNTIMES
    }
    if not pairs:
        return {}
    query = (
        select(Experiment.name, ModelVersion.number, ModelVersion.experiment_id, ModelVersion.id)
        .join(Experiment, ModelVersion.experiment_id == Experiment.id)
        .where(tuple_(Experiment.name, ModelVersion.number).in_(pairs))
    )
    found = {(row[0], row[1]): (row[2], row[3]) for row in session.execute(query)}
    return {
        name: found[one.experiment, one.version or 0]
        for name, one in declared.items()
        if one.runtime in RUNTIMES and (one.experiment, one.version or 0) in found
    }


def _upsert(
    session: Session, name: str, row: Deployment | None, spec: dict[str, Any], declared: HelmSpec
) -> None:
    if row is None:
        session.add(Deployment(name=name, **spec))
        _note(session, name, "create", declared, "declared by Helm")
        return
    different = {key: value for key, value in spec.items() if getattr(row, key) != value}
    if not different:
        return
    if "version_id" in different:
        row.previous_version_id = row.version_id if row.experiment_id == spec["experiment_id"] else None
    for key, value in different.items():
        setattr(row, key, value)
    said = "Helm owns it now" if "owner" in different else "declared by Helm"
    _note(session, name, "change", declared, said)


def _remove(session: Session, row: Deployment) -> None:
    """An alias still points at some: those stay, stopped."""
    free = delete(Deployment).where(Deployment.id == row.id, ~exists().where(Alias.deployment_id == row.id))
    if session.scalar(free.returning(Deployment.id)) is not None:
        session.add(
            DeploymentEvent(deployment=row.name, kind="delete", detail="not in Helm's values any more")
        )
    elif row.desired != "stopped":
        row.desired = "stopped"
        session.add(DeploymentEvent(deployment=row.name, kind="stop", detail="not in Helm's values any more"))


def _note(session: Session, name: str, kind: str, declared: HelmSpec, detail: str) -> None:
    session.add(
        DeploymentEvent(
            deployment=name,
            kind=kind,
            version=declared.version,
            detail=f"{detail}: experiment {declared.experiment}, runtime {declared.runtime}, "
            f"replicas {declared.replicas}",
        )
    )
