"""Want, change and look at deployments; every change is taken up by the reconciler at once."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, BackgroundTasks, Depends, Query
from pydantic import AwareDatetime

from metadata_api import later_changes, serving_recordings
from metadata_api.auth.access import needs
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.deployments import changes, events, reading, rollback, traffic
from metadata_api.deployments.events import By
from metadata_api.errors import responses
from metadata_api.routes.dependencies import CallerDep, ComponentsDep, SessionDep, wake
from metadata_api.schemas.deployments import (
    ChangeReason,
    DeploymentChange,
    DeploymentDetail,
    DeploymentEventPage,
    DeploymentLog,
    DeploymentPage,
    DeploymentQuery,
    LogPart,
    Minutes,
    NewDeployment,
    Traffic,
)
from metadata_api.schemas.fields import NameInPath, Text
from metadata_api.schemas.recording import RecordingAddress
from metadata_api.schemas.rollbacks import RollbackPreview
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/deployments", tags=["deployments"])


def _serving_url(of: ComponentsDep) -> str:
    return (of.settings.public_serving_url or of.settings.serving_url).rstrip("/")


def _helm(of: ComponentsDep) -> HelmRelease:
    return of.helm


async def _wake(of: ComponentsDep, background: BackgroundTasks) -> None:
    """Wake the reconciler."""
    background.add_task(wake, of.deployer.changed)


def _unchanged(
    session: SessionDep,
    name: NameInPath,
    unchanged_since: Annotated[
        AwareDatetime | None,
        Query(
            description="`updated_at` as it was seen; when somebody changed it later, nothing is done (409)."
        ),
    ] = None,
) -> None:
    later_changes.require_unchanged(session, name, unchanged_since)


async def _by(caller: CallerDep, body: ChangeReason | None = None) -> By:
    return By(caller.subject, body.reason if body else "")


ChangedBy = Annotated[By, Depends(_by)]
"""Who sent the request, and the reason that its body gives; the body may be missing."""
ServingUrl = Annotated[str, Depends(_serving_url)]
Helm = Annotated[HelmRelease, Depends(_helm)]
wakes = Depends(_wake)
unchanged = Depends(_unchanged)


@router.post(
    "",
    status_code=201,
    dependencies=[needs(Role.DEPLOYER), wakes],
    responses=responses(404, 409),
)
def create_deployment(
    session: SessionDep, url: ServingUrl, helm: Helm, caller: CallerDep, body: NewDeployment
) -> DeploymentDetail:
    """Serve a version of an experiment."""
    name = changes.create(session, body, helm, By(caller.subject, body.reason))
    return reading.show(session, name, serving_url=url)


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_deployments(
    session: SessionDep,
    url: ServingUrl,
    helm: Helm,
    wanted: Annotated[DeploymentQuery, Query()],
) -> DeploymentPage:
    """Deployments with desired and observed state, by default by name."""
    return reading.list_page(session, wanted, serving_url=url, release=helm)


@router.get("/{name}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_deployment(session: SessionDep, url: ServingUrl, name: NameInPath) -> DeploymentDetail:
    """One deployment with its latest events."""
    return reading.show(session, name, serving_url=url)


@router.get("/{name}/events", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def list_deployment_events(
    session: SessionDep,
    name: NameInPath,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> DeploymentEventPage:
    """What was asked for, by whom and why, and what was observed, newest first; they stay when it is deleted."""
    return events.list_page(session, name, limit=limit, before=cursor)


@router.get("/{name}/traffic", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_traffic(session: SessionDep, helm: Helm, name: NameInPath, minutes: Minutes = 15) -> Traffic:
    """How often it was asked in the last minutes by `POST /v1/predictions`, and how fast it answered."""
    changes.require(session, name, helm)
    return traffic.recent(session, [name], minutes)[name]


@router.get("/{name}/rollback", dependencies=[needs(Role.VIEWER)], responses=responses(404, 409))
def preview_rollback(session: SessionDep, name: NameInPath) -> RollbackPreview:
    """What a roll back would change: the version, what it brings, and the aliases that it concerns."""
    return rollback.preview(session, name)


@router.get(
    "/{name}/logs",
    dependencies=[needs(Role.DEPLOYER, deployment="name")],
    responses=responses(404),
)
async def show_log(
    of: ComponentsDep,
    helm: Helm,
    name: NameInPath,
    lines: Annotated[int, Query(ge=1, le=1000, description="Of each process.")] = 100,
) -> DeploymentLog:
    """What the model of a deployment printed, logged and raised last, and what its server says of it."""

    def require() -> None:
        with of.sessions() as session:
            changes.require(session, name, helm)

    # No session is open while the Kubernetes API or a disk is waited for.
    await to_thread.run_sync(require)
    parts = await of.deployer.log(name, lines)
    return DeploymentLog(
        deployment=name, parts=[LogPart(pod=one.pod, lines=list(one.lines)) for one in parts]
    )


@router.get(
    "/{name}/recording-address",
    dependencies=[needs(Role.DEPLOYER, deployment="name")],
    responses=responses(404),
)
def show_recording_address(of: ComponentsDep, session: SessionDep, name: NameInPath) -> RecordingAddress:
    """Where an agent of KServe sends what it logs of this deployment; who knows it can send events of it."""
    row = changes.find(session, name)
    return RecordingAddress(url=serving_recordings.address(of.own_url, of.serving_token, row.name))


@router.patch(
    "/{name}",
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def change_deployment(
    session: SessionDep,
    url: ServingUrl,
    helm: Helm,
    caller: CallerDep,
    name: NameInPath,
    body: DeploymentChange,
) -> DeploymentDetail:
    """Serve another version, by another runtime, or with other replicas, resources or timeouts.

    The old one answers until the new one has proved itself.

    Aliases do not follow: those that point at the old version become stale, and say so.
    """
    changes.change(session, name, body, helm, By(caller.subject, body.reason))
    return reading.show(session, name, serving_url=url)


@router.post(
    "/{name}/rollback",
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def roll_back_deployment(
    session: SessionDep, url: ServingUrl, helm: Helm, by: ChangedBy, name: NameInPath
) -> DeploymentDetail:
    """Serve the previous version again."""
    changes.roll_back(session, name, helm, by)
    return reading.show(session, name, serving_url=url)


@router.post(
    "/{name}/stop",
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def stop_deployment(
    session: SessionDep, url: ServingUrl, helm: Helm, by: ChangedBy, name: NameInPath
) -> DeploymentDetail:
    """Stop serving, keep the deployment."""
    changes.stop(session, name, helm, by)
    return reading.show(session, name, serving_url=url)


@router.post(
    "/{name}/start",
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def start_deployment(
    session: SessionDep, url: ServingUrl, helm: Helm, by: ChangedBy, name: NameInPath
) -> DeploymentDetail:
    """Serve a stopped deployment again."""
    changes.start(session, name, helm, by)
    return reading.show(session, name, serving_url=url)


@router.delete(
    "/{name}",
    status_code=204,
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def delete_deployment(
    session: SessionDep,
    helm: Helm,
    caller: CallerDep,
    name: NameInPath,
    reason: Annotated[Text, Query()] = "",
) -> None:
    """Stop serving and forget the deployment, at which no alias may point; its events and predictions stay."""
    changes.delete(session, name, helm, By(caller.subject, reason))
