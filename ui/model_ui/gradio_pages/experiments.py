"""The Experiments tab: find experiments, compare their parameters and curves; built by `app.build_ui`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from model_ui import assets
from model_ui.api_errors import ApiError
from model_ui.authentication import client_for
from model_ui.gradio_pages.problems import problem
from model_ui.metadata_client import MetadataClient
from model_ui.render import curves, runs
from model_ui.render.markup import note

LATEST = 20
MOST = 200
# So many are drawn at first, and at most; more lines cannot be told apart.
DRAWN_FIRST = 8
DRAWN_MOST = 20


@dataclass(frozen=True)
class Place:
    """A page of a list: the cursors and row counts that lead to it. Only the buttons write it."""

    search: str = ""
    rows: int = LATEST
    cursors: tuple[str | None, ...] = (None,)
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Seen:
    """The page that was loaded last, how many rows it has, and the cursor of what follows. Only `load` writes it."""

    place: Place
    count: int = 0
    following: str | None = None


FIRST = Place()


@dataclass(frozen=True)
class ExperimentsTab:
    """What the rest of the page needs: `load` fills the tab, with `inputs` and `outputs`; `go` opens another tab."""

    load: Any
    inputs: list[Any]
    outputs: list[Any]
    table: gr.HTML


def build(client: MetadataClient, *, public_api_url: str) -> ExperimentsTab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="m-filters", equal_height=True):
        search = gr.Textbox(
            label="Search",
            placeholder="name or description",
            max_length=200,
            elem_id="search",
            scale=2,
            min_width=220,
        )
        latest = gr.Slider(
            1, MOST, value=LATEST, step=1, label="Rows", elem_id="latest", scale=2, min_width=220
        )
        # Without custom values Gradio rejects a metric that the experiments shown now do not have.
        metric = gr.Dropdown(
            ["loss"],
            value="loss",
            label="Metric",
            elem_id="metric",
            scale=1,
            min_width=120,
            allow_custom_value=True,
        )
    table = gr.HTML("", js_on_load=assets.text("runs.js"), apply_default_css=False, elem_id="runs")
    with gr.Row(elem_classes="m-pages"):
        newer = gr.Button("Newer", size="sm", min_width=110, scale=0, interactive=False)
        older = gr.Button("Older", size="sm", min_width=110, scale=0, interactive=False)
    chosen = gr.State(None)
    shown = gr.State(())
    place = gr.State(FIRST)
    seen = gr.State(Seen(FIRST))
    with gr.Column(elem_classes="m-chart"):
        with gr.Row(elem_classes="m-chart-tools", equal_height=True):
            smoothing = gr.Slider(
                0, 0.98, value=0.6, step=0.02, label="Smoothing", elem_id="smoothing", min_width=200
            )
            log = gr.Checkbox(label="Log scale", elem_id="log", container=False, min_width=110, scale=0)
            every = gr.Button("Choose all", size="sm", min_width=110, scale=0)
            none = gr.Button("Choose none", size="sm", min_width=110, scale=0)
        message = gr.HTML("", js_on_load=None, apply_default_css=False, elem_classes="m-maybe")
        chart = gr.Plot(show_label=False, container=False, elem_id="curves")

    async def load(
        text: str | None, count: float, kind: str, picked: list[str] | None, at: Place, request: gr.Request
    ) -> tuple[Any, ...]:
        words, rows = (text or "").strip(), int(count)
        # Another search or number of rows begins at the newest again.
        at = at if at.search == words and at.rows == rows else Place(words, rows)
        api = client_for(request, client)
        try:
            page = await api.experiments(limit=rows, search=words, cursor=at.cursors[-1])
            known = await api.metric_names()
        except ApiError as error:
            return problem(error), *[gr.skip() for _ in range(6)]
        first = gr.skip()
        if picked is None:
            with_curves = [item.name for item in page.items if kind in item.metrics]
            first = picked = with_curves[:DRAWN_FIRST] or None
        before = sum(at.counts)
        html = runs.runs(
            page, chosen=picked or (), metric=kind, api=public_api_url, searched=bool(words), before=before
        )
        metrics = gr.Dropdown(choices=runs.metric_names([*known, kind]))
        now = Seen(at, len(page.items), page.next)
        pages = gr.Button(interactive=len(at.cursors) > 1), gr.Button(interactive=page.next is not None)
        return html, first, tuple(item.name for item in page.items), metrics, now, *pages

    def go_older(last: Seen) -> Place:
        at = last.place
        if last.following is None:
            return at
        return replace(at, cursors=(*at.cursors, last.following), counts=(*at.counts, last.count))

    def go_newer(last: Seen) -> Place:
        at = last.place
        return replace(at, cursors=at.cursors[:-1] or (None,), counts=at.counts[:-1])

    async def draw(
        picked: list[str] | None, kind: str, smooth: float, logarithmic: bool, request: gr.Request
    ) -> tuple[Any, str]:
        if not picked:
            return gr.Plot(visible=False), note("Tick experiments above to see their curves here.")
        try:
            found = await client_for(request, client).curves(picked[:DRAWN_MOST], metric=kind)
        except ApiError as error:
            return gr.skip(), problem(error)
        figure = curves.figure(found, smoothing=smooth, log=logarithmic)
        return gr.Plot(figure, visible=True), _remark(picked, len(found.curves), kind)

    def pick(picked: list[str] | None, event: gr.EventData) -> list[str]:
        others = [name for name in picked or [] if name != event.name]
        return [*others, str(event.name)] if event.chosen else others

    listing = {
        "inputs": [search, latest, metric, chosen, place],
        "outputs": [table, chosen, shown, metric, seen, newer, older],
    }
    drawing: dict[str, Any] = {
        "inputs": [chosen, metric, smoothing, log],
        "outputs": [chart, message],
    }
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    latest_only: dict[str, Any] = {**quiet, "trigger_mode": "always_last"}
    # Not `search.input`: Gradio does not raise it for text that is pasted with the mouse.
    reload = [search.change, latest.release, metric.input, place.change]
    gr.on(reload, load, **listing, **latest_only)
    gr.on([chosen.change, metric.input, smoothing.release, log.input], draw, **drawing, **latest_only)
    table.select(pick, [chosen], [chosen], trigger_mode="multiple", **quiet)
    older.click(go_older, [seen], [place], **quiet)
    newer.click(go_newer, [seen], [place], **quiet)
    # What was ticked by hand before no longer counts.
    gr.on([every.click, none.click], None, js="() => document.dispatchEvent(new Event('marina-choose'))")
    every.click(_all, [shown], [chosen], **quiet).then(load, **listing, **quiet)
    none.click(list, None, [chosen], **quiet).then(load, **listing, **quiet)
    return ExperimentsTab(load, listing["inputs"], listing["outputs"], table)


def _all(shown: Sequence[str]) -> list[str]:
    return list(shown[:DRAWN_MOST])


def _remark(picked: Sequence[str], drawn: int, metric: str) -> str:
    if len(picked) > DRAWN_MOST:
        return note(f"The first {DRAWN_MOST} of {len(picked)} chosen experiments are drawn.", "warn")
    if not drawn:
        return note(f"None of the chosen experiments has a curve of {metric}.", "warn")
    return ""
