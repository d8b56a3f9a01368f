"""The pages of replays: stored inputs go through chosen deployments; started, watched, cancelled, and read."""

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.names import NAME, number
from model_ui.replay_types import Replay, ReplayPage
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.visit import IDLE_SECONDS, MOVING_SECONDS, Visit

ROWS = 20
# How many inputs a replay takes when nothing else is typed, and at most.
USUAL, MOST = 500, 1000
# Flips of a pair that are shown.
FLIPS = 24
VERDICTS = {
    "worse": ("becomes wrong", "bad"),
    "better": ("becomes right", "ok"),
    "neither": ("wrong in both", "warn"),
    "unknown": ("no label", "quiet"),
}
# The same of numbers.
NEAR = {"worse": "farther off", "better": "nearer", "neither": "as far off"}
STATES = {"done": "ok", "failed": "bad", "running": "warn", "waiting": "quiet", "cancelled": "quiet"}


async def show(visit: Visit) -> Response:
    """All replays, and the form that starts one; `pick` in the address names deployments that are chosen there."""
    page = await visit.api.call(ReplayPage, "GET", "/v1/replays", params=page_query(visit, ROWS))
    may = visit.me.may_all("deployer")
    picked = visit.names("pick")
    return await visit.render(
        "replays.html",
        title="Replays",
        seconds=MOVING_SECONDS if any(one.moves for one in page.items) else IDLE_SECONDS,
        page=page,
        may=may,
        deployments=[one for one in await visit.api.deployments() if one.desired == "running"] if may else [],
        first=picked[0] if picked else "",
        others=picked[1:],
        usual=USUAL,
        most=MOST,
        states=STATES,
        pager=pager(visit, page.next),
    )


async def show_one(visit: Visit) -> Response:
    """How far one is, and what it came to."""
    item = await visit.api.call(Replay, "GET", _path(visit.query("number")))
    return await visit.render(
        "replay.html",
        title=f"Replay {item.id}",
        seconds=MOVING_SECONDS if item.moves else 0,
        item=item,
        may=visit.me.may_all("deployer"),
        states=STATES,
        verdicts=VERDICTS,
        near=NEAR,
        shown_flips=FLIPS,
    )


async def start(visit: Visit, form: FormData) -> Response:
    """Send stored inputs through the chosen deployments; the first is what the others are compared with."""
    first = str(form.get("first", ""))
    others = [str(name) for name in form.getlist("other") if name != first]
    names = [first, *others]
    if not all(NAME.fullmatch(name) for name in names):
        return visit.failed("Choose the deployment that the others are compared with.")
    if not others:
        return visit.failed(f"Choose at least one deployment beside {first}.")
    limit = number(str(form.get("limit", "")).strip())
    if not limit or limit > MOST:
        return visit.failed(f"Type how many inputs it takes, at most {MOST:,}.")
    made = await visit.api.call(Replay, "POST", "/v1/replays", json={"deployments": names, "limit": limit})
    return visit.done(
        f"Replay {made.id} of {made.inputs:,} inputs is waiting.", to=f"/replay?number={made.id}"
    )


async def cancel(visit: Visit, form: FormData) -> Response:
    """End one; what was answered stays recorded."""
    item = await visit.api.call(Replay, "DELETE", _path(str(form.get("number", ""))))
    if item.state != "cancelled":
        return visit.done(f"Replay {item.id} had ended already.", kind="warn")
    return visit.done(f"Replay {item.id} is cancelled.")


def _path(typed: str) -> str:
    if (found := number(typed)) is None:
        raise ApiRejected(404, "replay_unknown", "There is no such replay.")
    return f"/v1/replays/{found}"


PAGES = (
    Page("/replays", show, {"start": start}),
    Page("/replay", show_one, {"cancel": cancel}),
)
