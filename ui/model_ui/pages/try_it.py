"""The Try tab: draw or upload an image, choose deployments, see what each says; built by `app.build_ui`."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from model_ui import assets
from model_ui.api_errors import ApiAway, ApiError, ApiRejected
from model_ui.api_types import Comparison, Deployment, Me
from model_ui.authentication import client_for, visitor_of
from model_ui.metadata_client import MetadataClient
from model_ui.pages.problems import problem
from model_ui.render import answers
from model_ui.render.markup import note, role_needed
from model_ui.render.services import choice

# What the visitor can choose from: (text, name of the deployment).
Offer = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TryTab:
    """What the refresh of the whole page reads and fills in; `known` holds what was offered last.

    The value of `chosen` is what the visitor has put off, which only the browser changes. `allow` gives the new
    contents of `parts` for a visitor.
    """

    chosen: gr.HTML
    known: gr.State
    parts: list[Any]


def build(client: MetadataClient, *, deadline_ms: int) -> TryTab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="m-try", equal_height=False):
        with gr.Column(scale=0, min_width=320, elem_classes="m-left") as controls:
            sketchpad = gr.HTML(
                "",
                html_template=assets.sketchpad(),
                js_on_load=assets.text("freshness.js") + assets.text("sketchpad.js"),
                apply_default_css=False,
                elem_id="sketchpad",
            )
            # Gradio's group of checkboxes rejects a choice that has gone meanwhile, and a refresh under way resets it.
            chosen = gr.HTML(
                [],
                html_template=assets.text("chooser.html"),
                js_on_load=assets.text("chooser.js"),
                apply_default_css=False,
                elem_id="chosen",
                offered=[],
            )
            known = gr.State(())
        with gr.Column(scale=1, min_width=320, elem_classes="m-right"):
            results = gr.HTML(
                answers.waiting(),
                js_on_load=assets.text("answers.js"),
                apply_default_css=False,
                elem_id="answers",
            )

    async def ask(drawn: Any, put_off: Any, offered: Offer, request: gr.Request) -> Any:
        found = _drawn(drawn)
        if not found.asked:
            return gr.skip()
        me = visitor_of(request).me
        if not me.may("annotator"):
            return found.answer(role_needed("Asking models", "annotator", me))
        if not found.image:
            return found.answer(answers.waiting())
        if not offered:
            hint = "Nothing is deployed. Open the Deployments tab and deploy an experiment."
            return found.answer(note(hint, "warn"), again=True)
        off = set(put_off) if isinstance(put_off, list) else set()
        selected = [name for _, name in offered if name not in off]
        if not selected:
            return found.answer(note("Choose at least one deployment to ask.", "warn"))
        # Everything that is offered means everything that shall run, also what was deployed a moment ago.
        every = me.deployments is None and len(selected) == len(offered)
        names = None if every else selected
        try:
            api = client_for(request, client)
            said = await _predict(api, _content(found.image), names, deadline_ms)
            return found.answer(answers.answers(said))
        except ApiError as error:
            return found.answer(problem(error), again=isinstance(error, ApiAway))

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


def offer(deployments: Sequence[Deployment], known: Offer, me: Me) -> tuple[Any, Any]:
    """New contents of `chosen` and `known`: what runs and what the visitor's credential covers."""
    offered = tuple(
        (choice(item), item.name)
        for item in deployments
        if item.desired == "running" and me.may("annotator", item.name)
    )
    if offered == tuple(map(tuple, known)):
        return gr.skip(), gr.skip()
    return gr.HTML(offered=[list(pair) for pair in offered]), offered


@dataclass(frozen=True)
class _Drawn:
    """What the sketchpad sends: the number of the image, its data URL or nothing, and whether to ask about it."""

    number: int
    image: str
    asked: bool

    def answer(self, html: str, *, again: bool = False) -> str:
        """HTML that says which image it is about; `again` has the browser ask again in a moment."""
        return f'<div data-image="{self.number}"{" data-again" if again else ""}>{html}</div>'


def _drawn(value: Any) -> _Drawn:
    found = value if isinstance(value, dict) else {}
    number, image = found.get("number"), found.get("image")
    return _Drawn(
        number if type(number) is int else 0,
        image if isinstance(image, str) else "",
        found.get("asked") is True,
    )


async def _predict(
    api: MetadataClient, image: bytes, names: list[str] | None, deadline_ms: int
) -> Comparison:
    """Ask these deployments; when one of them has gone meanwhile, those that are still there. Raises ApiError."""
    try:
        return await api.predict(image, deployments=names, deadline_ms=deadline_ms)
    except ApiRejected as error:
        if names is None or error.code != "deployment_unknown":
            raise
        there = {item.name for item in await api.deployments()}
        left = [name for name in names if name in there]
        if not left:
            raise
        return await api.predict(image, deployments=left, deadline_ms=deadline_ms)


def _content(image: str) -> bytes:
    """The bytes of a data URL; anything else becomes what the API rejects as not being an image."""
    try:
        return base64.b64decode(image.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return b""
