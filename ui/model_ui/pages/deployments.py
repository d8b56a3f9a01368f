"""The page Deployments: all of them as a table, failed and changing on top, several at once."""

from collections.abc import Sequence

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.api_types import ExperimentPage
from model_ui.deployment_types import STATES, Alias, AliasPage, DeploymentList, ListedDeployment
from model_ui.pages import deployment_actions as actions
from model_ui.shell.addressing import address
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.visit import IDLE_SECONDS, MOVING_SECONDS, Visit

ROWS = 20
TRAFFIC_MINUTES = 15
USUAL_SORT = "state"
FIELDS = ("q", "state", "experiment", "sort")
KINDS = {"ready": "ok", "changing": "warn", "unknown": "warn", "failed": "bad", "stopped": "quiet"}
ASKED = ("stop", "remove")


async def show(visit: Visit) -> Response:
    """The table, and the question that was asked about some of them."""
    query = {name: visit.query(name) for name in FIELDS}
    sort = query["sort"] or USUAL_SORT
    asked = page_query(visit, ROWS, **{**query, "sort": sort}, traffic_minutes=str(TRAFFIC_MINUTES))
    page = await visit.api.call(DeploymentList, "GET", "/v1/deployments", params=asked)
    question = await _question(visit, page.items)
    moving = any(item.state == "changing" for item in page.items)
    return await visit.render(
        "deployments.html",
        title="Deployments",
        seconds=MOVING_SECONDS if moving else IDLE_SECONDS,
        page=page,
        everything=sum(page.counts.values()),
        states=STATES,
        kinds=KINDS,
        query=query,
        sort=sort,
        picked=visit.names("pick"),
        question=question,
        offered=await _offered(visit) if visit.me.may("deployer") else (),
        minutes=TRAFFIC_MINUTES,
        pager=pager(visit, page.next),
        narrowed=any(query[name] for name in ("q", "state", "experiment")),
    )


async def ask(visit: Visit, form: FormData) -> Response:
    """Ask what is to be done before it is: the question has an address."""
    names = [str(name) for name in form.getlist("pick") if name]
    action = str(form.get("action", ""))
    if not names:
        return visit.failed("Choose deployments first, by the boxes before their names.")
    if action == "start":
        return await actions.start(visit, FormData([("name", name) for name in names]))
    if action not in ASKED:
        return visit.failed("This button is not known. Load the page anew.")
    kept = {name: visit.query(name) for name in (*FIELDS, "cursor", "trail")}
    return visit.redirect(address("/deployments", **kept, ask=action, pick=names))


async def _question(visit: Visit, shown: Sequence[ListedDeployment]) -> dict[str, object] | None:
    """What would happen to those that are picked."""
    action, names = visit.query("ask"), visit.names("pick")[: actions.MOST]
    if action not in ASKED or not names:
        return None
    known = {item.name: item for item in shown}
    items = [known.get(name) or await actions.read(visit, name) for name in names]
    aliases = await visit.api.call(AliasPage, "GET", "/v1/aliases", params={"limit": "1000"})
    return {"action": action, "names": names, "consequences": consequences(action, items, aliases.items)}


def consequences(
    action: str, items: Sequence[ListedDeployment], aliases: Sequence[Alias]
) -> list[tuple[str, str]]:
    """Name, and what happens to it, as a sentence."""
    found = []
    for item in items:
        pointing = [alias.name for alias in aliases if alias.deployment == item.name]
        found.append((item.name, _consequence(action, item, pointing)))
    return found


def _consequence(action: str, item: ListedDeployment, aliases: Sequence[str]) -> str:
    pointing = (
        f" {_named('Alias', aliases)} {'points' if len(aliases) == 1 else 'point'} at it" if aliases else ""
    )
    if action == "remove":
        if aliases:
            return f"stays:{pointing.lower()}. Move or delete {'it' if len(aliases) == 1 else 'them'} first."
        return (
            f"is gone for everybody, and its previous version is forgotten. Its predictions and events stay, and so "
            f"does the model {item.experiment} v{item.version}."
        )
    if item.desired == "stopped":
        return "is stopped already."
    serving = item.observed.version
    now = f"Now v{serving} of {item.experiment} answers." if serving is not None else "Nothing answers now."
    loss = f"{pointing} and gets no answer either." if aliases else ""
    return f"answers nobody any more until it is started again. {now}{loss}"


def _named(noun: str, names: Sequence[str]) -> str:
    return f"{noun} {names[0]}" if len(names) == 1 else f"{noun}es {', '.join(names)}"


async def _offered(visit: Visit) -> tuple[str, ...]:
    """Experiments with a model, the newest first, as the form's field suggests them; any other can be typed."""
    found = await visit.api.call(
        ExperimentPage, "GET", "/v1/experiments", params={"limit": "100", "with_model": "true"}
    )
    return tuple(item.name for item in found.items)


PAGES = (
    Page(
        "/deployments",
        show,
        {
            "ask": ask,
            "stop": actions.stop,
            "start": actions.start,
            "remove": actions.remove,
            "restore": actions.restore,
            "undo": actions.undo,
            "deploy": actions.deploy,
        },
    ),
)
