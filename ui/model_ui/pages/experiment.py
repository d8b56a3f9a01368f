"""The page Experiment: what one training effort came to, its curves, notes, versions, and where it answers."""

import json
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from pydantic import FiniteFloat, TypeAdapter, ValidationError
from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.api_types import Curves, Experiment, ExperimentPage
from model_ui.names import number, segment
from model_ui.pages import columns
from model_ui.pages.columns import Column
from model_ui.render import chart_data
from model_ui.shell.page import Page
from model_ui.shell.status import Undo
from model_ui.shell.visit import IDLE_SECONDS, MOVING_SECONDS, Visit

NEWEST_VERSIONS = 10
NEWEST_OF_TASK = 50
AXES = ("step", "time")
SCALAR = TypeAdapter(bool | int | FiniteFloat)


@dataclass(frozen=True)
class Verdict:
    """The metric that it is judged by, and its place among those of its task that have it; None where not known."""

    metric: str
    direction: str
    place: int | None = None
    of: int | None = None


async def show(visit: Visit) -> Response:
    """The page of `?name=`."""
    item = await visit.api.experiment(visit.query("name"))
    judging = key_metric(item, await _of_task(visit, item))
    metric = visit.query("metric") or judging or next(iter(item.metrics), "")
    x = visit.query("x") if visit.query("x") in AXES else "step"
    deployments = [one for one in await visit.api.deployments() if one.experiment == item.name]
    running = item.state == "running"
    return await visit.render(
        "experiment.html",
        title=item.display_name or item.name,
        seconds=MOVING_SECONDS if running else IDLE_SECONDS,
        item=item,
        verdict=await _verdict(visit, item, judging),
        metric=metric,
        x=x,
        smooth=visit.query("smooth", "0"),
        log=bool(visit.query("log")),
        directions={name: columns.direction(name, found) for name, found in item.metrics.items()},
        curves=await curves(visit, [item.name], metric, x) if metric in item.metrics else None,
        deployments=deployments,
        versions=range(item.latest_version or 0, max(0, (item.latest_version or 0) - NEWEST_VERSIONS), -1),
        runtimes=await visit.api.runtimes() if item.latest_version and visit.me.may("deployer") else [],
        column=Column,
    )


def key_metric(item: Experiment, of_task: str | None = None) -> str | None:
    """The metric that judges it: the one that it says, else that of others of its task, else what is usual."""
    for name in (item.key_metric, of_task):
        if name in item.metrics:
            return name
    chosen = columns.usual([], [item]) if item.metrics else []
    return next((column.name for column in chosen if column.kind == "metrics"), None)


async def _of_task(visit: Visit, item: Experiment) -> str | None:
    """The metric by which most of the newest experiments of its task say that they are judged, if it has that."""
    if item.task is None or item.key_metric in item.metrics:
        return None
    params = {"task": item.task, "limit": str(NEWEST_OF_TASK)}
    page = await visit.api.call(ExperimentPage, "GET", "/v1/experiments", params=params)
    return next((name for name in columns.key_metrics(page.items) if name in item.metrics), None)


async def _verdict(visit: Visit, item: Experiment, name: str | None) -> Verdict | None:
    if name is None or item.metrics[name].best is None:
        return None
    direction = columns.direction(name, item.metrics[name])
    try:
        ahead = await _count(visit, better(item, name))
        everybody = await _count(visit, f"{of_task(item)} and {Column('metrics', name).field} is not null")
    except ApiRejected:
        return Verdict(name, direction)
    return Verdict(name, direction, ahead + 1, everybody) if ahead < everybody else Verdict(name, direction)


def of_task(item: Experiment) -> str:
    """The filter of the experiments that it can be compared with: those of its task."""
    return "task is null" if item.task is None else f"task = {columns.quoted(item.task)}"


def better(item: Experiment, name: str) -> str:
    """The filter of the others of its task whose best value of a metric is strictly better."""
    metric = item.metrics[name]
    operator = "<" if columns.direction(name, metric) == "min" else ">"
    limit = f"{Column('metrics', name).field} {operator} {metric.best!r}"
    # One that is running may have become better than itself since it was read.
    return f"{of_task(item)} and {limit} and not name = {columns.quoted(item.name)}"


async def _count(visit: Visit, condition: str) -> int:
    params = {"filter": condition, "limit": "1"}
    return (await visit.api.call(ExperimentPage, "GET", "/v1/experiments", params=params)).total


async def curves(visit: Visit, names: list[str], metric: str, x: str) -> Markup:
    """One metric of experiments as the chart's script reads it; raises ApiError."""
    params: dict[str, str | list[str]] = {
        "experiment": names,
        "metric": metric,
        "points": str(chart_data.points(len(names))),
    }
    params |= {"x": x} if x != "step" else {}
    return chart_data.script(await visit.api.call(Curves, "GET", "/v1/curves", params=params), names, x)


async def change_notes(visit: Visit, form: FormData) -> Response:
    """Replace the notes."""
    item = await visit.api.experiment(visit.query("name"))
    notes = str(form.get("notes", "")).replace("\r\n", "\n").strip()
    # Not over what somebody else has written since this page was shown.
    made = await _change(visit, item.name, {"notes": notes}, unchanged_since=str(form.get("since", "")))
    since = made.updated_at.isoformat() if made.updated_at else ""
    undo = Undo(address=visit.here, fields={"do": "notes", "notes": item.notes, "since": since})
    return visit.done("The notes are saved.", undo=undo)


async def set_tag(visit: Visit, form: FormData) -> Response:
    """Add a tag, or give it another value."""
    item = await visit.api.experiment(visit.query("name"))
    tag, value = str(form.get("tag", "")).strip(), _value(form)
    if not tag:
        return visit.failed("Give the tag a name.")
    await _change(visit, item.name, {"tags": {tag: value}})
    before = (
        {"do": "tag", "tag": tag, **_kept(item.tags[tag])}
        if tag in item.tags
        else {"do": "untag", "tag": tag}
    )
    return visit.done(f"The tag {tag} is set.", undo=Undo(address=visit.here, fields=before))


async def remove_tag(visit: Visit, form: FormData) -> Response:
    """Take a tag away."""
    item = await visit.api.experiment(visit.query("name"))
    tag = str(form.get("tag", ""))
    await _change(visit, item.name, {"tags": {tag: None}})
    if tag not in item.tags:
        return visit.failed(f"There is no tag {tag} any more.")
    fields = {"do": "tag", "tag": tag, **_kept(item.tags[tag])}
    return visit.done(f"The tag {tag} is removed.", undo=Undo(address=visit.here, fields=fields))


def _kept(value: Any) -> dict[str, str]:
    """A tag's value as fields of the form that brings it back as it was."""
    return {"value": str(value)} if isinstance(value, str) else {"json": json.dumps(value)}


def _value(form: FormData) -> Any:
    """A tag's value: text, or what it was before."""
    try:
        return SCALAR.validate_json(str(form.get("json", "")), strict=True)
    except ValidationError:
        return str(form.get("value", "")).strip()


async def deploy(visit: Visit, form: FormData) -> Response:
    """Serve a version under a name."""
    version = str(form.get("version", ""))
    if version and number(version) is None:
        return visit.failed("Choose a version first.")
    made = await visit.api.deploy(
        visit.query("name"),
        version=number(version),
        name=str(form.get("called", "")).strip(),
        runtime=str(form.get("runtime", "")),
    )
    words = f"{made.name} starts with version {made.version}."
    return visit.done(words, link="See it start", href=f"/deployment?name={made.name}")


async def _change(
    visit: Visit, name: str, change: dict[str, Any], *, unchanged_since: str = ""
) -> Experiment:
    params = {"unchanged_since": unchanged_since} if unchanged_since else None
    path = f"/v1/experiments/{segment(name)}"
    return await visit.api.call(Experiment, "PATCH", path, json=change, params=params)


PAGES = (
    Page(
        "/experiment",
        show,
        {"notes": change_notes, "tag": set_tag, "untag": remove_tag, "deploy": deploy},
        pretty="/experiments/{name}",
    ),
)
