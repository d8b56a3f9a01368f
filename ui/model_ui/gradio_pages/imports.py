"""The Import tab: check a CSV, import it, read which lines were rejected; built by `app.build_ui`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from model_ui.api_errors import ApiError
from model_ui.api_types import Me
from model_ui.authentication import client_for
from model_ui.gradio_pages.problems import problem
from model_ui.metadata_client import MetadataClient
from model_ui.render import reports
from model_ui.render.markup import note, role_needed, text

INTRODUCTION = """
<div class="m-intro"><p>One line is one experiment. Columns <code>Experiment Name</code>, <code>Learning Rate</code>,
<code>Momentum</code> and <code>Loss</code>, a JSON object <code>{"Step": [...], "Value": [...]}</code>; every further
column becomes a parameter. Commas, semicolons, tabs or bars, as spreadsheets, R, pandas and databases write them.
Importing the same file twice changes nothing.</p></div>
"""


@dataclass(frozen=True)
class ImportsTab:
    """What the rest of the page needs: `imported` fires when something was stored.

    `allow` gives the new contents of `parts` for a visitor.
    """

    imported: Any
    parts: list[Any]


def build(client: MetadataClient) -> ImportsTab:
    """Lay out the tab and wire it."""
    gr.HTML(INTRODUCTION, js_on_load=None, apply_default_css=False)
    rejected = gr.HTML("", js_on_load=None, apply_default_css=False, elem_classes="m-maybe")
    with gr.Row(elem_classes="m-import", equal_height=True, visible=False) as controls:
        file = gr.UploadButton(
            "Choose a CSV…",
            file_types=[".csv", ".tsv", ".txt", "text/csv"],
            scale=0,
            min_width=150,
            elem_id="csv",
        )
        name = gr.HTML(_chosen(None), js_on_load=None, apply_default_css=False, elem_id="csv-name")
        check = gr.Button("Check only", interactive=False, scale=0, min_width=130)
        store = gr.Button("Import", variant="primary", interactive=False, scale=0, min_width=130)
    result = gr.HTML(reports.waiting(), js_on_load=None, apply_default_css=False, elem_id="report")

    def choose(path: str | None) -> tuple[str, Any, Any, str]:
        ready = gr.Button(interactive=path is not None)
        return _chosen(path), ready, ready, reports.waiting()

    async def send(path: str | None, dry_run: bool, request: gr.Request) -> str:
        if path is None:
            return note("Choose a CSV first.", "warn")
        source = Path(path)
        api = client_for(request, client)
        try:
            return reports.report(await api.import_csv(source, filename=source.name, dry_run=dry_run))
        except FileNotFoundError:
            return note("The file was uploaded too long ago and is gone. Choose it again.", "warn")
        except ApiError as error:
            return problem(error)

    async def check_only(path: str | None, request: gr.Request) -> str:
        return await send(path, dry_run=True, request=request)

    async def import_all(path: str | None, request: gr.Request) -> str:
        return await send(path, dry_run=False, request=request)

    private: dict[str, Any] = {"api_visibility": "private"}
    file.upload(choose, [file], [name, check, store, result], show_progress="hidden", **private)
    check.click(check_only, [file], [result], show_progress="minimal", **private)
    imported = store.click(import_all, [file], [result], show_progress="minimal", **private)
    return ImportsTab(imported, [controls, result, rejected])


def allow(me: Me) -> list[Any]:
    """New contents of `parts`: the controls for those who may import, the reason for others."""
    may = me.may("publisher")
    reason = "" if may else role_needed("Importing", "publisher", me)
    return [gr.Row(visible=may), gr.HTML(visible=may), reason]


def _chosen(path: str | None) -> str:
    if path is None:
        return '<span class="m-file">no file chosen</span>'
    source = Path(path)
    try:
        size = f" · {source.stat().st_size / 1024:,.1f} kB"
    except OSError:
        size = ""
    return f'<span class="m-file chosen" title="{text(source.name)}"><b>{text(source.name)}</b>{size}</span>'
