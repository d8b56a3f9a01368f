"""The Import tab: check a CSV, import it, read which lines were rejected; built by `app.build_ui`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from model_ui.metadata_client import ApiError, MetadataClient
from model_ui.render import reports
from model_ui.render.markup import note, text

INTRODUCTION = """
<div class="m-intro"><p>One line is one experiment. Columns <code>Experiment Name</code>, <code>Learning Rate</code>,
<code>Momentum</code> and <code>Loss</code>, a JSON object <code>{"Step": [...], "Value": [...]}</code>; every further
column becomes a parameter. Importing the same file twice changes nothing.</p></div>
"""


@dataclass(frozen=True)
class ImportsTab:
    """What the rest of the page needs: `imported` fires when something was stored."""

    imported: Any


def build(client: MetadataClient) -> ImportsTab:
    """Lay out the tab and wire it."""
    gr.HTML(INTRODUCTION, js_on_load=None, apply_default_css=False)
    with gr.Row(elem_classes="m-import", equal_height=True):
        file = gr.UploadButton(
            "Choose a CSV…", file_types=[".csv", "text/csv"], scale=0, min_width=150, elem_id="csv"
        )
        name = gr.HTML(_chosen(None), js_on_load=None, apply_default_css=False, elem_id="csv-name")
        check = gr.Button("Check only", interactive=False, scale=0, min_width=130)
        store = gr.Button("Import", variant="primary", interactive=False, scale=0, min_width=130)
    result = gr.HTML(reports.waiting(), js_on_load=None, apply_default_css=False, elem_id="report")

    def choose(path: str | None) -> tuple[str, Any, Any, str]:
        ready = gr.Button(interactive=path is not None)
        return _chosen(path), ready, ready, reports.waiting()

    async def send(path: str | None, dry_run: bool) -> str:
        if path is None:
            return note("Choose a CSV first.", "warn")
        source = Path(path)
        try:
            return reports.report(await client.import_csv(source, filename=source.name, dry_run=dry_run))
        except FileNotFoundError:
            return note("The file was uploaded too long ago and is gone. Choose it again.", "warn")
        except ApiError as error:
            return note(error.detail, "bad")

    async def check_only(path: str | None) -> str:
        return await send(path, dry_run=True)

    async def import_all(path: str | None) -> str:
        return await send(path, dry_run=False)

    private: dict[str, Any] = {"api_visibility": "private"}
    file.upload(choose, [file], [name, check, store, result], show_progress="hidden", **private)
    check.click(check_only, [file], [result], show_progress="minimal", **private)
    imported = store.click(import_all, [file], [result], show_progress="minimal", **private)
    return ImportsTab(imported)


def _chosen(path: str | None) -> str:
    if path is None:
        return '<span class="m-file">no file chosen</span>'
    source = Path(path)
    try:
        size = f" · {source.stat().st_size / 1024:,.1f} kB"
    except OSError:
        size = ""
    return f'<span class="m-file chosen" title="{text(source.name)}"><b>{text(source.name)}</b>{size}</span>'
