"""The audit log in the Audit tab, which only admins see: who changed what; built by `app.build_ui`."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from model_ui import assets
from model_ui.api_errors import ApiError
from model_ui.api_types import Me
from model_ui.authentication import client_for
from model_ui.gradio_pages.problems import problem
from model_ui.metadata_client import MetadataClient
from model_ui.render import audit

PAGE = 50
# The caller that a list was asked for, and the cursor of what follows; None when nothing does.
Following = tuple[str, str] | None


@dataclass(frozen=True)
class AuditLog:
    """What the rest of the page needs: `load` shows the newest entries, with `inputs` and `outputs`.

    `allow` gives the new contents of `parts` for a visitor.
    """

    load: Any
    inputs: list[Any]
    outputs: list[Any]
    parts: list[Any]


def build(client: MetadataClient, *, public_api_url: str) -> AuditLog:
    """Lay out the log and wire it."""
    with gr.Row(elem_classes="m-filters", equal_height=True):
        caller = gr.Textbox(
            label="Caller",
            placeholder="the whole name, then Enter",
            max_length=200,
            elem_id="caller",
            scale=1,
            min_width=220,
        )
        newest = gr.Button("Newest", scale=0, min_width=120, elem_classes="m-go")
        older = gr.Button("Older", scale=0, min_width=120, elem_classes="m-go", interactive=False)
    entries = gr.HTML("", js_on_load=assets.text("audit.js"), apply_default_css=False, elem_id="audit-log")
    gr.HTML(audit.export(public_api_url), js_on_load=None, apply_default_css=False)
    following = gr.State(None)

    async def show(subject: str, cursor: str | None, request: gr.Request) -> tuple[Any, ...]:
        try:
            page = await client_for(request, client).audit(subject=subject, cursor=cursor, limit=PAGE)
        except ApiError as error:
            return problem(error), None, gr.Button(interactive=False)
        rest: Following = (subject, page.next) if page.next is not None else None
        html = audit.entries(page, subject=subject, newest=cursor is None)
        return html, rest, gr.Button(interactive=rest is not None)

    async def load(name: str | None, request: gr.Request) -> tuple[Any, ...]:
        return await show((name or "").strip(), None, request)

    async def load_older(rest: Following, request: gr.Request) -> tuple[Any, ...]:
        if rest is None:
            return gr.skip(), None, gr.Button(interactive=False)
        subject, cursor = rest
        return await show(subject, cursor, request)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    outputs = [entries, following, older]
    gr.on([caller.submit, newest.click], load, [caller], outputs, trigger_mode="always_last", **quiet)
    older.click(load_older, [following], outputs, **quiet)
    return AuditLog(load, [caller], outputs, [entries])


def allow(me: Me) -> list[Any]:
    """New contents of `parts`: nothing stays of what another visitor saw."""
    return [gr.skip() if me.may("admin") else ""]
