"""The page of one deployment: what runs, what happened and who wanted it, and what can be done."""

from starlette.responses import Response

from model_ui.api_errors import ApiError, ApiRejected
from model_ui.api_types import DeploymentLog
from model_ui.deployment_types import (
    AliasPage,
    DeploymentEvents,
    ListedDeployment,
    RollbackPreview,
    Traffic,
)
from model_ui.names import segment
from model_ui.pages import deployment_actions as actions
from model_ui.pages import recording
from model_ui.pages.deployments import KINDS, TRAFFIC_MINUTES, consequences
from model_ui.prediction_types import RecordedPage
from model_ui.render.services import measures
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.visit import IDLE_SECONDS, MOVING_SECONDS, Visit

EVENTS, PREDICTIONS, LINES = 20, 5, 60
# More than this in one list helps no one; the API takes any version.
VERSIONS = 50
# States in which it matters what a model has said.
LOGGED = ("failed", "changing", "unknown")
COMPARED = ("task", "handler", "environment")


async def show(visit: Visit) -> Response:
    """The page."""
    name = segment(visit.query("name"))
    path = f"/v1/deployments/{name}"
    item = await actions.read(visit, name)
    events = page_query(visit, EVENTS)
    happened = await visit.api.call(DeploymentEvents, "GET", f"{path}/events", params=events)
    aliases = await visit.api.call(AliasPage, "GET", "/v1/aliases", params={"deployment": name})
    last = {"deployment": name, "limit": str(PREDICTIONS)}
    may = visit.me.may("deployer", name)
    return await visit.render(
        "deployment.html",
        title=name,
        seconds=MOVING_SECONDS if item.state == "changing" else IDLE_SECONDS,
        item=item,
        compared=COMPARED,
        may=may,
        changes=may and item.owner != "helm",
        kinds=KINDS,
        measures=measures(item.observed.containment) if item.observed.containment else "",
        traffic=await visit.api.call(
            Traffic, "GET", f"{path}/traffic", params={"minutes": str(TRAFFIC_MINUTES)}
        ),
        events=happened,
        pager=pager(visit, happened.next),
        aliases=aliases.items,
        preview=await _preview(visit, item),
        versions=await _versions(visit, item),
        last=await visit.api.call(RecordedPage, "GET", "/v1/predictions", params=last),
        log=await _log(visit, item) if may else None,
        consequence={
            action: consequences(action, [item], aliases.items)[0][1] for action in ("stop", "remove")
        },
    )


async def _preview(visit: Visit, item: ListedDeployment) -> RollbackPreview | None:
    """What a roll back would change; None where there is nothing to go back to."""
    if item.previous_version is None:
        return None
    try:
        return await visit.api.call(RollbackPreview, "GET", f"/v1/deployments/{segment(item.name)}/rollback")
    except ApiRejected:
        return None


async def _versions(visit: Visit, item: ListedDeployment) -> list[int]:
    """Those that can be chosen, the newest first; the desired one is always among them."""
    try:
        latest = (await visit.api.experiment(item.experiment)).latest_version or item.version
    except ApiRejected:
        latest = item.version
    return sorted({*range(max(1, latest - VERSIONS + 1), latest + 1), item.version}, reverse=True)


async def _log(visit: Visit, item: ListedDeployment) -> str | None:
    """Its last lines, where it matters or was asked for; None where it was not."""
    if item.state not in LOGGED and not visit.query("log"):
        return None
    try:
        path = f"/v1/deployments/{segment(item.name)}/logs"
        found = await visit.api.call(DeploymentLog, "GET", path, params={"lines": str(LINES)})
    except ApiError as error:
        return error.detail
    return "\n".join(
        line for part in found.parts for line in [*([f"{part.pod}:"] if part.pod else []), *part.lines]
    )


PAGES = (
    Page(
        "/deployment",
        show,
        {
            "stop": actions.stop,
            "start": actions.start,
            "remove": actions.remove,
            "change": actions.change,
            "rollback": actions.roll_back,
            "record": recording.record,
        },
        pretty="/deployments/{name}",
    ),
)
