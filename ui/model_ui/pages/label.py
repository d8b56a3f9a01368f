"""The page Label: one input after the other, and a key for each class; what models said is hidden until asked for."""

import json
from typing import Any

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.api_types import Deployment
from model_ui.label_keys import MOST_KEYS, choices
from model_ui.label_types import Label, LabelPage, LabelQueue, QueueInput, QueueItem
from model_ui.names import decimal, input_segment
from model_ui.prediction_types import Recorded, RecordedPage
from model_ui.shell.addressing import address
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit

# What stays in the address from one input to the next.
KEPT = ("task", "alias", "challenger", "order")
# Where only those drawn at random are wanted, so many places are looked through.
LOOKED_THROUGH = 60
TEXT_CHARACTERS = 20_000


async def show(visit: Visit) -> Response:
    """The next input, or the one that is named."""
    deployments = await visit.api.deployments()
    tasks = sorted({one.task for one in deployments if one.task})
    wanted = {name: visit.query(name) for name in KEPT}
    if not wanted["task"] and not wanted["alias"]:
        wanted["task"] = await _task(visit, tasks, deployments)
    if not wanted["task"] and not wanted["alias"]:
        return await visit.render("label_tasks.html", title="Label", tasks=tasks, input=visit.query("input"))
    queue = await visit.api.call(LabelQueue, "GET", "/v1/label-queue", params=_asked(wanted))
    places = [one for one in queue.items if wanted["order"] != "random" or one.chosen == "random"]
    item, said, content = await _item(visit, queue, places)
    following = next((one for one in places if item and one.input.sha256 != item.input.sha256), None)
    revealed = bool(visit.query("reveal"))
    return await visit.render(
        "label.html",
        title="Label",
        # The order must not change under somebody's hands.
        seconds=0,
        queue=queue,
        tasks=tasks,
        item=item,
        following=following,
        said=said,
        content=content,
        choices=choices(queue.takes.labels),
        most_keys=MOST_KEYS,
        answers=await _answers(visit, item.input.sha256) if item and revealed else (),
        revealed=revealed,
        kept={name: value for name, value in wanted.items() if value},
        after=visit.query("after"),
        may=visit.me.may_all("annotator"),
    )


async def label(visit: Visit, form: FormData) -> Response:
    """Say what is right, and go on."""
    sha256, task, field = (str(form.get(name, "")) for name in ("sha256", "task", "field"))
    value: Any = str(form.get("value", "")).strip()
    if field == "number" and (value := decimal(value)) is None:
        return visit.failed("Type a number.")
    body = {"task": task, field: value, "chosen": str(form.get("chosen", "other"))}
    if said := str(form.get("said", "")):
        body["supersedes"] = said
    try:
        await visit.api.request("POST", f"/v1/inputs/{input_segment(sha256)}/labels", json=body)
    except ApiRejected as error:
        if error.code != "label_changed":
            raise
        # Two people are offered the same input at once: whoever is second sees what the first one said.
        return visit.failed(error, to=address("/label", **_kept(visit), input=sha256))
    return visit.redirect(_next(visit, after=sha256))


async def skip(visit: Visit, form: FormData) -> Response:
    """Leave an input to others, and go on."""
    sha256, task = (str(form.get(name, "")) for name in ("sha256", "task"))
    await visit.api.request("PUT", f"/v1/inputs/{input_segment(sha256)}/skips", json={"task": task})
    return visit.redirect(_next(visit, after=sha256))


def _asked(wanted: dict[str, str]) -> dict[str, str]:
    query = {name: wanted[name] for name in ("task", "alias", "challenger") if wanted[name]}
    return {"limit": str(LOOKED_THROUGH if wanted["order"] == "random" else 2), **query}


async def _task(visit: Visit, tasks: list[str], deployments: list[Deployment]) -> str:
    """The only task there is, or that of who answered the input that is named."""
    if len(tasks) == 1:
        return tasks[0]
    if not visit.query("input"):
        return ""
    names = {one.deployment for one in await _answers(visit, visit.query("input")) if one.status != "error"}
    of = {one.task for one in deployments if one.name in names and one.task}
    return of.pop() if len(of) == 1 else ""


async def _answers(visit: Visit, sha256: str) -> tuple[Recorded, ...]:
    """What versions said about an input, newest first."""
    query = {"input": sha256, "limit": "50"}
    return (await visit.api.call(RecordedPage, "GET", "/v1/predictions", params=query)).items


async def _item(
    visit: Visit, queue: LabelQueue, places: list[QueueItem]
) -> tuple[QueueItem | None, Label | None, str]:
    """The input to label, what is said of it already, and its content as text where it is no image."""
    named = visit.query("input")
    item = places[0] if places else None
    said = None
    if named:
        newest = {"task": queue.task, "limit": "1"}
        page = await visit.api.call(
            LabelPage, "GET", f"/v1/inputs/{input_segment(named)}/labels", params=newest
        )
        said = next((one for one in page.items if one.current and one.task == queue.task), None)
        found = next((one for one in places if one.input.sha256 == named), None)
        item = found or QueueItem(input=QueueInput(sha256=named, kind=""))
    if item is None:
        return None, None, ""
    if item.input.kind == "image":
        return item, said, ""
    answer = await visit.api.request("GET", f"/v1/inputs/{input_segment(item.input.sha256)}")
    media_type = answer.headers.get("content-type", "")
    if media_type.startswith("image/"):
        return item.model_copy(update={"input": item.input.model_copy(update={"kind": "image"})}), said, ""
    return item, said, _readable(answer.content, media_type)


def _readable(content: bytes, media_type: str) -> str:
    text = content.decode(errors="replace")
    if media_type.startswith("application/json"):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text[:TEXT_CHARACTERS]


def _next(visit: Visit, after: str) -> str:
    return address("/label", **_kept(visit), after=after)


def _kept(visit: Visit) -> dict[str, str]:
    return {name: visit.query(name) for name in KEPT}


PAGES = (Page("/label", show, {"label": label, "skip": skip}),)
