"""Want, change and look at deployments; every change is taken up by the reconciler at once."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, BackgroundTasks, Depends, Query
from pydantic import AwareDatetime

from metadata_api import deployments, later_changes
from metadata_api.auth.access import needs
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.errors import responses
from metadata_api.routes.dependencies import ComponentsDep, SessionDep
from metadata_api.schemas.deployments import (
    DeploymentChange,
    DeploymentDetail,
    DeploymentLog,
    DeploymentPage,
    LogPart,
    NewDeployment,
)
from metadata_api.schemas.fields import NameInPath
from serving_runtime.contracts import NAME_PATTERN, Role

router = APIRouter(prefix="/v1/deployments", tags=["deployments"])


def _serving_url(of: ComponentsDep) -> str:
    return (of.settings.public_serving_url or of.settings.serving_url).rstrip("/")


def _helm(of: ComponentsDep) -> HelmRelease:
    return of.helm


async def _wake(of: ComponentsDep, background: BackgroundTasks) -> None:
    """Wake the reconciler after the answer, which is after the commit: it must see the change."""

    async def wake() -> None:
        of.deployer.changed.set()

    background.add_task(wake)


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
    session: SessionDep, url: ServingUrl, helm: Helm, body: NewDeployment
) -> DeploymentDetail:
    """Serve a version of an experiment."""
    name = deployments.create(session, body, helm)
    return deployments.show(session, name, serving_url=url)


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_deployments(
    session: SessionDep,
    url: ServingUrl,
    helm: Helm,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
) -> DeploymentPage:
    """Deployments by name, with desired and observed state."""
    return deployments.list_page(session, limit=limit, after=cursor, serving_url=url, release=helm)


@router.get("/{name}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_deployment(session: SessionDep, url: ServingUrl, name: NameInPath) -> DeploymentDetail:
    """One deployment with its latest events."""
    return deployments.show(session, name, serving_url=url)


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
            deployments.require(session, name, helm)

    # No session is open while the Kubernetes API or a disk is waited for.
    await to_thread.run_sync(require)
    parts = await of.deployer.log(name, lines)
    return DeploymentLog(
        deployment=name, parts=[LogPart(pod=one.pod, lines=list(one.lines)) for one in parts]
    )


@router.patch(
    "/{name}",
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def change_deployment(
    session: SessionDep, url: ServingUrl, helm: Helm, name: NameInPath, body: DeploymentChange
) -> DeploymentDetail:
    """Serve another version, by another runtime, or with other replicas, resources or timeouts.

    The old one answers until the new one has proved itself.

    Aliases do not follow: those that point at the old version become stale, and say so.
    """
    deployments.change(session, name, body, helm)
    return deployments.show(session, name, serving_url=url)


@router.post(
    "/{name}/rollback",
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def roll_back_deployment(
    session: SessionDep, url: ServingUrl, helm: Helm, name: NameInPath
) -> DeploymentDetail:
    """Serve the previous version again."""
    deployments.roll_back(session, name, helm)
    return deployments.show(session, name, serving_url=url)


@router.post(
    "/{name}/stop",
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def stop_deployment(session: SessionDep, url: ServingUrl, helm: Helm, name: NameInPath) -> DeploymentDetail:
    """Stop serving, keep the deployment."""
    deployments.stop(session, name, helm)
    return deployments.show(session, name, serving_url=url)


@router.post(
    "/{name}/start",
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def start_deployment(session: SessionDep, url: ServingUrl, helm: Helm, name: NameInPath) -> DeploymentDetail:
    """Serve a stopped deployment again."""
    deployments.start(session, name, helm)
    return deployments.show(session, name, serving_url=url)


@router.delete(
    "/{name}",
    status_code=204,
    dependencies=[needs(Role.DEPLOYER, deployment="name"), unchanged, wakes],
    responses=responses(404, 409),
)
def delete_deployment(session: SessionDep, helm: Helm, name: NameInPath) -> None:
    """Stop serving and forget the deployment, at which no alias may point; its events and predictions stay."""
    deployments.delete(session, name, helm)
