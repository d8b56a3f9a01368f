"""The page Compare: what differs between chosen experiments, and their curves in one chart."""

from dataclasses import dataclass

from starlette.responses import Response

from model_ui.api_types import Experiment, ExperimentPage
from model_ui.names import NAME
from model_ui.pages import columns, experiments
from model_ui.pages.experiment import AXES, curves
from model_ui.render.colours import colour
from model_ui.render.parallel import parallel
from model_ui.shell.addressing import Value, address
from model_ui.shell.page import Page
from model_ui.shell.visit import IDLE_SECONDS, MOVING_SECONDS, Visit

MOST = 100
# So many of the longest names fit into one filter of the API.
AT_ONCE = 40
FIRST = 8


@dataclass(frozen=True)
class Row:
    """One experiment of the comparison; it keeps its colour."""

    item: Experiment
    colour: str


async def show(visit: Visit) -> Response:
    """The comparison of `?experiments=a,b`."""
    if "pick" in visit.request.query_params or "experiments" not in visit.request.query_params:
        return await _begun(visit)
    names = visit.names("experiments")[:MOST]
    items = await _experiments(visit, names)
    there = [item.name for item in items]
    metrics = sorted({name for item in items for name in item.metrics})
    metric = visit.query("metric")
    if metric not in metrics:
        usual = [column.name for column in columns.usual(metrics, items) if column.kind == "metrics"]
        metric = next(iter(usual), "")
    x = visit.query("x") if visit.query("x") in AXES else "step"
    whole = bool(visit.query("all"))
    every = columns.every(items)
    # Unless all are wanted, those in which the experiments differ.
    shown = [column for column in every if whole or len({repr(column.of(item)) for item in items}) > 1]
    moving = any(item.state == "running" for item in items)
    return await visit.render(
        "compare.html",
        title="Compare",
        seconds=MOVING_SECONDS if moving else IDLE_SECONDS,
        rows=[Row(item, colour(place)) for place, item in enumerate(items)],
        names=names,
        gone=[name for name in names if name not in there],
        metrics=metrics,
        metric=metric,
        x=x,
        smooth=visit.query("smooth", "0"),
        log=bool(visit.query("log")),
        whole=whole,
        columns=shown,
        parallel=parallel(
            [(column.name, [column.of(item) for item in items]) for column in shown],
            [item.display_name or item.name for item in items],
            [colour(place) for place in range(len(items))],
        ),
        tasks=len({item.task for item in items}),
        numeric=columns.numeric(shown, items),
        best={column: columns.best(column, items) for column in shown},
        same=len(every) - len(shown),
        curves=await curves(visit, there, metric, x) if there and metric else None,
    )


async def _begun(visit: Visit) -> Response:
    """On to the address of what was picked; when nothing was, of the first shown that have the metric."""
    names = [*visit.names("pick"), *visit.names("experiments")]
    if not names:
        metric = visit.query("metric")
        page = await visit.api.call(ExperimentPage, "GET", "/v1/experiments", params=experiments.asked(visit))
        names = [item.name for item in page.items if not metric or metric in item.metrics][:FIRST]
    if not names:
        return visit.done("There is no experiment to compare yet.", kind="warn", to="/experiments")
    kept: dict[str, Value] = {name: visit.query(name) for name in ("metric", "x", "smooth", "log")}
    return visit.redirect(address("/compare", experiments=names, **kept))


async def _experiments(visit: Visit, names: list[str]) -> list[Experiment]:
    """Those that there are, in the order of their names in the address."""
    # What is no name would be a filter that the API rejects.
    possible = [name for name in names if NAME.fullmatch(name)]
    found: dict[str, Experiment] = {}
    for start in range(0, len(possible), AT_ONCE):
        listed = ", ".join(columns.quoted(name) for name in possible[start : start + AT_ONCE])
        params = {"filter": f"name in ({listed})", "limit": str(AT_ONCE)}
        page = await visit.api.call(ExperimentPage, "GET", "/v1/experiments", params=params)
        found |= {item.name: item for item in page.items}
    return [found[name] for name in names if name in found]


PAGES = (Page("/compare", show),)
