"""The Try tab: draw or upload an image, choose deployments, see what each says; built by `app.build_ui`."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from model_ui import assets
from model_ui.api_types import Deployment, Me
from model_ui.authentication import client_for, visitor_of
from model_ui.metadata_client import ApiError, MetadataClient
from model_ui.pages.problems import problem
from model_ui.render import answers
from model_ui.render.markup import note, role_needed
from model_ui.render.services import choice

# What the visitor can choose from: (text, name of the deployment).
Offer = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TryTab:
    """What the refresh of the whole page reads and fills in; `known` holds what was offered last.

    `allow` gives the new contents of `parts` for a visitor.
    """

    chosen: gr.CheckboxGroup
    known: gr.State
    parts: list[Any]


def build(client: MetadataClient, *, deadline_ms: int) -> TryTab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="m-try", equal_height=False):
        with gr.Column(scale=0, min_width=320, elem_classes="m-left") as controls:
            sketchpad = gr.HTML(
                "",
                html_template=assets.sketchpad(),
                js_on_load=assets.text("sketchpad.js"),
                apply_default_css=False,
                elem_id="sketchpad",
            )
            chosen = gr.CheckboxGroup([], label="Ask these deployments", elem_id="chosen")
            known = gr.State(())
        with gr.Column(scale=1, min_width=320, elem_classes="m-right"):
            results = gr.HTML(answers.waiting(), js_on_load=None, apply_default_css=False, elem_id="answers")

    async def ask(image: str | None, selected: list[str], offered: Offer, request: gr.Request) -> str:
        me = visitor_of(request).me
        if not me.may("annotator"):
            return role_needed("Asking models", "annotator", me)
        if not image:
            return answers.waiting()
        if not offered:
            return note("Nothing is deployed. Open the Deployments tab and deploy an experiment.", "warn")
        if not selected:
            return note("Choose at least one deployment to ask.", "warn")
        try:
            # Everything that is offered means everything that shall run, also what was deployed a moment ago.
            every = me.deployments is None and set(selected) == {name for _, name in offered}
            names = None if every else selected
            api = client_for(request, client)
            return answers.answers(
                await api.predict(_content(image), deployments=names, deadline_ms=deadline_ms)
            )
        except ApiError as error:
            return problem(error)

    gr.on(
        [sketchpad.input, chosen.input],
        ask,
        inputs=[sketchpad, chosen, known],
        outputs=results,
        show_progress="minimal",
        trigger_mode="always_last",
        api_visibility="private",
    )
    return TryTab(chosen, known, [controls, results])


def allow(me: Me, *, first: bool) -> list[Any]:
    """New contents of `parts`: the sketchpad for those who may ask, the reason for others.

    The first time, the page is as those need it who may ask: someone quick may have an answer there already.
    """
    may = me.may("annotator")
    if may:
        return [gr.Column(visible=True), gr.skip() if first else answers.waiting()]
    return [gr.Column(visible=False), role_needed("Asking models", "annotator", me)]


def offer(deployments: Sequence[Deployment], selected: list[str], known: Offer, me: Me) -> tuple[Any, Any]:
    """New contents of `chosen` and `known`: what is new is chosen, what someone has put off stays off.

    Offered is what runs and what the visitor's credential covers.
    """
    offered = tuple(
        (choice(item), item.name)
        for item in deployments
        if item.desired == "running" and me.may("annotator", item.name)
    )
    if offered == tuple(map(tuple, known)):
        # Not even the same again: someone may be ticking a box at this moment.
        return gr.skip(), gr.skip()
    before = {name for _, name in known}
    kept = [name for _, name in offered if name in selected or name not in before]
    return gr.CheckboxGroup(choices=list(offered), value=kept), offered


def _content(image: str) -> bytes:
    """The bytes of a data URL; anything else becomes what the API rejects as not being an image."""
    try:
        return base64.b64decode(image.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return b""
