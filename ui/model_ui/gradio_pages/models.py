"""The Models tab: an archive is dropped, checked and deployed; built by `app.build_ui`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from model_ui import assets
from model_ui.api_errors import ApiError
from model_ui.api_types import Deployment, Me
from model_ui.authentication import client_for, visitor_of
from model_ui.gradio_pages.problems import problem
from model_ui.metadata_client import MetadataClient
from model_ui.render import versions
from model_ui.render.markup import note, role_needed, text

INTRODUCTION = """
<div class="m-intro"><p>A <code>.mar</code> of <code>marina pack</code> or torch-model-archiver becomes the next version
of an experiment. The whole file is sent, then checked: what does not fit is named, and nothing of it is kept. What fits
can be deployed at once.</p></div>
"""
# How long the page waits for a new model to answer before it only says where to look.
WAIT_SECONDS, LOOK_SECONDS = 180, 1.0


@dataclass(frozen=True)
class ModelsTab:
    """What the rest of the page needs: `load` fills the choices into `outputs`, `result` opens another tab.

    `allow` gives the new contents of `parts` for a visitor.
    """

    load: Any
    outputs: list[Any]
    result: gr.HTML
    parts: list[Any]


def build(client: MetadataClient, *, max_archive_bytes: int) -> ModelsTab:
    """Lay out the tab and wire it."""
    gr.HTML(INTRODUCTION, js_on_load=None, apply_default_css=False)
    rejected = gr.HTML("", js_on_load=None, apply_default_css=False, elem_classes="m-maybe")
    archive = gr.HTML(
        None,
        html_template=assets.text("archive.html"),
        js_on_load=assets.text("archive.js"),
        apply_default_css=False,
        elem_id="archive",
        visible=False,
        offered=[],
        most=max_archive_bytes,
    )
    result = gr.HTML(
        versions.waiting(), js_on_load=assets.text("uploaded.js"), apply_default_css=False, elem_id="uploaded"
    )
    state = gr.HTML("", js_on_load=assets.text("uploaded.js"), apply_default_css=False, elem_id="deploying")

    async def load(request: gr.Request) -> Any:
        if not visitor_of(request).me.may("publisher"):
            return gr.skip()
        try:
            found = await client_for(request, client).experiments(limit=200)
        except ApiError:
            return gr.skip()
        return gr.HTML(offered=[[item.name, item.latest_version or 0] for item in found.items])

    async def show(made: Any, request: gr.Request) -> tuple[str | Any, str | Any]:
        found = made if isinstance(made, dict) else {}
        experiment, number = str(found.get("experiment", "")), found.get("version")
        if type(number) is not int:
            return gr.skip(), gr.skip()
        api, me = client_for(request, client), visitor_of(request).me
        try:
            version = await api.version(experiment, number)
            there = await _deployments_of(api, experiment, me)
        except ApiError as error:
            return problem(error), ""
        return versions.uploaded(version, there, me), ""

    async def deploy(event: gr.EventData, request: gr.Request) -> AsyncIterator[str]:
        api = client_for(request, client)
        try:
            made = await _deploy(api, event)
            yield note(f"{made.name} starts with version {made.version}…")
            async for html in _until_ready(api, made):
                yield html
        except ApiError as error:
            yield problem(error)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    # An upload first takes away what is shown of the one before.
    archive.clear(lambda: (versions.waiting(), ""), None, [result, state], **quiet)
    archive.input(show, [archive], [result, state], **quiet)
    archive.input(load, None, [archive], **quiet)
    result.submit(deploy, None, [state], **quiet)
    return ModelsTab(load, [archive], state, [archive, result, rejected])


def allow(me: Me) -> list[Any]:
    """New contents of `parts`: the upload for those who may, the reason for others."""
    may = me.may("publisher")
    reason = "" if may else role_needed("Uploading models", "publisher", me)
    return [gr.HTML(visible=may), gr.HTML(visible=may), reason]


async def _deployments_of(api: MetadataClient, experiment: str, me: Me) -> list[Deployment]:
    """Those of an experiment that the visitor may change; raises ApiError."""
    found = [item for item in await api.deployments() if item.experiment == experiment]
    return [item for item in found if item.owner == "api" and me.may("deployer", item.name)]


async def _deploy(api: MetadataClient, event: gr.EventData) -> Deployment:
    """What a button of the result asks for; raises ApiError."""
    version = int(event.version) if str(event.version).isdecimal() else 0
    if str(event.act) != "change":
        return await api.deploy(str(event.experiment), version=version, name=str(event.called))
    changed = await api.change_version(str(event.name), version)
    return await api.start(changed.name) if changed.desired == "stopped" else changed


async def _until_ready(api: MetadataClient, made: Deployment) -> AsyncIterator[str]:
    """What becomes of a deployment, until it answers or says why it does not; raises ApiError."""
    for _ in range(round(WAIT_SECONDS / LOOK_SECONDS)):
        await asyncio.sleep(LOOK_SECONDS)
        now = await api.deployment(made.name)
        if now.ready and now.observed.version == made.version:
            data = f'data-act="try" data-task="{text(now.task)}"'
            button = f'<button type="button" class="m-button primary" {data}>Try it</button>'
            yield (
                f'<div class="m-note ok m-said" role="status"><span>{text(now.name)} answers with version '
                f"{now.observed.version}.</span>{button}</div>"
            )
            return
        if now.observed.state == "failed":
            yield note(f"{now.name} does not start: {now.observed.reason or 'no reason is known'}", "bad")
            return
    yield note(f"{made.name} has not answered yet. The Deployments tab says what becomes of it.", "warn")
