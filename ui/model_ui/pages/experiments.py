"""The page Experiments: all experiments as a table that is filtered, sorted and paged by the API."""

import re
from typing import Any

from starlette.responses import RedirectResponse, Response

from model_ui.api_errors import ApiRejected
from model_ui.api_types import Experiment, ExperimentPage, Tasks
from model_ui.pages import columns
from model_ui.pages.columns import Column
from model_ui.render.colours import COLOURS
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.visit import IDLE_SECONDS, MOVING_SECONDS, Visit

ROWS = 50
NEWEST = "-created_at"
FIELDS = ("filter", "q", "task", "sort", "columns", "cursor", "trail", "pick")
# Rejections that are about what somebody typed: told beside the box.
TYPED = (400, 422)
_METRIC = re.compile(r'\bmetrics\.(?:"([^"]+)"|(\w[\w./-]*))')


async def show(visit: Visit) -> Response:
    """The table."""
    ticked = visit.request.query_params.getlist("columns")
    if len(ticked) > 1:
        # As the form of the columns sends them; an address has them with commas.
        return RedirectResponse(visit.with_query(columns=",".join(ticked)), 303)
    wrong = ""
    try:
        page = await visit.api.call(ExperimentPage, "GET", "/v1/experiments", params=asked(visit))
    except ApiRejected as error:
        if error.status not in TYPED or not (
            visit.query("filter") or visit.query("sort") or visit.query("cursor")
        ):
            raise
        page, wrong = ExperimentPage(items=(), total=0), error.detail
    metrics = await visit.api.metric_names()
    chosen = columns.parse(visit.query("columns")) or columns.usual(metrics, page.items)
    sort = visit.query("sort") or NEWEST
    moving = any(item.state == "running" for item in page.items)
    return await visit.render(
        "experiments.html",
        title="Experiments",
        seconds=2 * MOVING_SECONDS if moving else IDLE_SECONDS,
        page=page,
        wrong=wrong,
        sort=sort,
        columns=chosen,
        numeric=columns.numeric(chosen, page.items),
        best={column: columns.best(column, page.items) for column in chosen},
        directions=_directions(chosen, page.items),
        offered=_offered(chosen, metrics, page.items),
        picked=visit.names("pick"),
        colours=COLOURS,
        pager=pager(visit, page.next),
        query={name: visit.query(name) for name in FIELDS},
        tagged=any(item.tags for item in page.items),
        narrowed=any(visit.query(name) for name in ("filter", "q", "task")),
        tasks=await _tasks(visit),
        unknown=[] if page.items else _unknown(visit.query("filter"), metrics),
    )


def asked(visit: Visit) -> dict[str, str]:
    """The query of the API that the page's own query means."""
    sort = visit.query("sort") or NEWEST
    chosen = {"filter": visit.query("filter"), "search": visit.query("q"), "task": visit.query("task")}
    return page_query(visit, ROWS, sort=sort, **chosen)


async def _tasks(visit: Visit) -> list[str]:
    """What the list can be narrowed to, with what it is narrowed to."""
    known = (await visit.api.call(Tasks, "GET", "/v1/tasks")).items
    return sorted({*known, visit.query("task")} - {""})


def _unknown(condition: str, metrics: list[str]) -> list[str]:
    """Metrics that a filter names and no experiment has."""
    named = dict.fromkeys(quoted or plain for quoted, plain in _METRIC.findall(condition))
    return [name for name in named if name not in metrics]


def _directions(chosen: list[Column], items: tuple[Experiment, ...]) -> dict[Column, str]:
    found: dict[Column, str] = {}
    for column in chosen:
        if column.kind == "metrics":
            known = next((item.metrics[column.name] for item in items if column.name in item.metrics), None)
            found[column] = columns.direction(column.name, known)
    return found


def _offered(chosen: list[Column], metrics: list[str], items: tuple[Experiment, ...]) -> dict[str, list[Any]]:
    """What the chooser of columns offers, by kind: each with whether it is shown."""
    tags = sorted({name for item in items for name in item.tags})
    known = {
        "metrics": list(metrics),
        "params": list(columns.counted(items)),
        "tags": tags,
    }
    for column in chosen:
        if column.name not in known[column.kind]:
            known[column.kind].append(column.name)
    return {
        kind: [(Column(kind, name), Column(kind, name) in chosen) for name in names]
        for kind, names in known.items()
        if names
    }


PAGES = (Page("/experiments", show),)
