"""Rolling an alias back to where it pointed before, also when that is stopped or is not served any more.

Called by the route for aliases. What shall answer is started or deployed again, and waited for until it passes
its self-test; only then the alias moves. Meanwhile the present target answers. No session is open while we wait.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from metadata_api import alias_changes, aliases
from metadata_api.alias_events import Change
from metadata_api.database.session import Sessions
from metadata_api.database.tables import (
    Alias,
    AliasEvent,
    Deployment,
    DeploymentEvent,
    Experiment,
    ModelVersion,
)
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.deployments import changes
from metadata_api.deployments.events import By
from metadata_api.errors import Conflict
from metadata_api.schemas.aliases import RollbackUnderWay
from metadata_api.schemas.deployments import NewDeployment
from serving_runtime.contracts import RUNTIMES

POLL_SECONDS = 0.1
# Of a deployment's name, so that a version can follow it.
_NAME_CHARACTERS = 30


@dataclass(frozen=True)
class Dependencies:
    """What a roll back needs of the application; `wake` lets the reconciler know of a change."""

    sessions: Sessions
    release: HelmRelease
    wake: Callable[[], None]


@dataclass(frozen=True)
class _Plan:
    """What the alias shall point at, and the event after which this was planned."""

    event_id: int
    deployment: str
    version_id: int
    is_safe: bool
    """Whether it may move at once: the target answers, or it runs and the present one does not answer either."""


async def roll_back(of: Dependencies, name: str, by: By, wait_seconds: float) -> RollbackUnderWay | None:
    """Point where the last move came from; a second roll back returns to where the first one started.

    None when the alias was moved; otherwise what it waits for after `wait_seconds`: then the same call again goes on
    with it. Raises NotFound and Conflict when there is nothing to roll back to.
    """
    plan = await run_in_threadpool(_prepare, of, name, by)
    of.wake()
    end = time.monotonic() + wait_seconds
    while not plan.is_safe:
        found = await run_in_threadpool(_observe, of, plan)
        if found is None:
            break
        if time.monotonic() >= end:
            return found
        await asyncio.sleep(POLL_SECONDS)
    await run_in_threadpool(_finish, of, name, plan, by)
    return None


def _prepare(of: Dependencies, name: str, by: By) -> _Plan:
    """Find the target, and have it served; one transaction."""
    with of.sessions.begin() as session:
        row, newest, before = alias_changes.previous(session, name)
        version = _version(session, before)
        target = _serving(session, version, before)
        was_running = target is not None and target.desired == "running"
        if target is None:
            target = _deployed_again(session, of.release, version, before, by)
        elif not was_running:
            changes.start(session, target.name, of.release, by)
            # What was seen before it was stopped proves nothing.
            target.observed_state, target.observed_version = "pending", None
        pointer = aliases.find(session, name)
        assert pointer, "it is locked"
        is_safe = was_running and (_is_ready(target, version) or not pointer.answers)
        return _Plan(newest.id, target.name, version.id, is_safe)


def _observe(of: Dependencies, plan: _Plan) -> RollbackUnderWay | None:
    """What it waits for; None once the target has passed its self-test."""
    with of.sessions() as session:
        row = session.scalar(select(Deployment).where(Deployment.name == plan.deployment))
        version = session.get(ModelVersion, plan.version_id)
        if row is None or version is None or row.version_id != plan.version_id or row.desired != "running":
            raise Conflict(
                "deployment_changed",
                f"Deployment {plan.deployment} was changed while the alias waited for it. Roll back again.",
            )
        if _is_ready(row, version):
            return None
        return RollbackUnderWay(
            deployment=row.name,
            version=version.number,
            state=row.observed_state,
            reason=row.observed_reason,
            detail="The alias stays where it is until this deployment answers. Send the same request again.",
        )


def _finish(of: Dependencies, name: str, plan: _Plan, by: By) -> None:
    with of.sessions.begin() as session:
        row, newest, _ = alias_changes.previous(session, name)
        if newest.id != plan.event_id:
            raise Conflict(
                "alias_changed",
                f"{newest.actor} changed alias {name} at {newest.at:%H:%M:%S} UTC, while this roll back waited. "
                "It is left as it is; look at it, and decide anew.",
            )
        change = Change("rollback", by.actor, by.reason)
        alias_changes.roll_back(session, row, plan.deployment, plan.version_id, change)


def _version(session: Session, event: AliasEvent) -> ModelVersion:
    """The version that an event names. Raises Conflict when it was deleted."""
    query = select(ModelVersion).join(Experiment, ModelVersion.experiment_id == Experiment.id)
    if event.experiment is None:
        # Of before it was recorded: what the deployment of this name serves.
        serves = select(Deployment.experiment_id).where(Deployment.name == event.deployment)
        query = query.where(Experiment.id == serves.scalar_subquery())
    else:
        query = query.where(Experiment.name == event.experiment, ModelVersion.sha256 == event.mar_sha256)
    found = session.scalar(query.where(ModelVersion.number == event.version))
    if found is None:
        raise Conflict(
            "version_gone",
            f"Version {event.version} of {event.experiment or event.deployment}, where the alias pointed before, "
            "was deleted. Point the alias at another deployment.",
        )
    return found


def _serving(session: Session, version: ModelVersion, event: AliasEvent) -> Deployment | None:
    """The deployment that shall serve a version: that of the event, else a running one, else a stopped one."""
    query = select(Deployment).where(Deployment.version_id == version.id)
    first = (
        (Deployment.name == event.deployment).desc(),
        (Deployment.desired == "running").desc(),
        (Deployment.observed_state == "ready").desc(),
        Deployment.name,
    )
    return session.scalar(query.order_by(*first).limit(1))


def _deployed_again(
    session: Session, release: HelmRelease, version: ModelVersion, event: AliasEvent, by: By
) -> Deployment:
    """A deployment of a version that none serves: by its old name, or one made of it where that is taken."""
    experiment = session.scalars(select(Experiment.name).where(Experiment.id == version.experiment_id)).one()
    name = event.deployment
    if _is_taken(session, name, release):
        name = f"{name[:_NAME_CHARACTERS]}-v{version.number}"
    new = NewDeployment(
        experiment=experiment, version=version.number, name=name, runtime=_runtime(session, event.deployment)
    )
    changes.create(session, new, release, by)
    return session.scalars(select(Deployment).where(Deployment.name == name)).one()


def _is_taken(session: Session, name: str, release: HelmRelease) -> bool:
    tables = (Alias, Deployment)
    return name in release.deployments or any(aliases.exists(session, table, name) for table in tables)


def _runtime(session: Session, deployment: str) -> str:
    """The runtime that a deployment of this name has, or had when it was created last."""
    present = session.scalar(select(Deployment.runtime).where(Deployment.name == deployment))
    if present is not None:
        return present
    mine = select(DeploymentEvent.detail).where(
        DeploymentEvent.deployment == deployment, DeploymentEvent.kind == "create"
    )
    said = (session.scalar(mine.order_by(DeploymentEvent.id.desc()).limit(1)) or "").rpartition("runtime ")[2]
    return said if said in RUNTIMES else RUNTIMES[0]


def _is_ready(row: Deployment, version: ModelVersion) -> bool:
    return row.observed_state == "ready" and row.observed_version == version.number
