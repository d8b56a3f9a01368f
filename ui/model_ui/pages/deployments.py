"""The Deployments tab: what runs, in which version, and the buttons to change it; built by `app.build_ui`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from model_ui import assets
from model_ui.api_types import Deployment, Experiment, Me, Unregistered
from model_ui.authentication import client_for, visitor_of
from model_ui.metadata_client import ApiError, MetadataClient
from model_ui.pages.problems import problem
from model_ui.render import services
from model_ui.render.markup import note, role_needed
from model_ui.render.runs import title

OFFERED = 200


@dataclass(frozen=True)
class DeploymentsTab:
    """What the refresh of the whole page reads and fills in; `load` fills the choices into `outputs`.

    `allow` gives the new contents of `parts` for a visitor.
    """

    cards: gr.HTML
    versions: gr.State
    load: Any
    inputs: list[Any]
    outputs: list[Any]
    parts: list[Any]


def build(client: MetadataClient, *, public_api_url: str) -> DeploymentsTab:
    """Lay out the tab and wire it."""
    versions = gr.State({})
    rejected = gr.HTML("", js_on_load=None, apply_default_css=False, elem_classes="m-maybe")
    with gr.Row(elem_classes="m-filters", equal_height=True, visible=False) as controls:
        experiment = gr.Dropdown(
            [], label="Experiment", elem_id="experiment", scale=3, min_width=240, value=None
        )
        version = gr.Dropdown(
            [], label="Version", elem_id="version", scale=1, min_width=110, value=None, filterable=False
        )
        name = gr.Textbox(
            label="Name",
            placeholder="same as the experiment",
            max_length=40,
            elem_id="name",
            scale=2,
            min_width=200,
        )
        runtime = gr.Dropdown(
            [],
            label="Runtime",
            elem_id="runtime",
            scale=1,
            min_width=130,
            value=None,
            filterable=False,
        )
        deploy = gr.Button("Deploy", variant="primary", scale=0, min_width=120, elem_classes="m-go")
    message = gr.HTML(
        "", js_on_load=None, apply_default_css=False, elem_id="deployed", elem_classes="m-maybe"
    )
    cards = gr.HTML("", js_on_load=assets.text("services.js"), apply_default_css=False, elem_id="services")

    async def load(served_by: str | None, request: gr.Request) -> tuple[Any, dict[str, int] | Any, Any]:
        api = client_for(request, client)
        try:
            runtimes = await api.runtimes()
            page = await api.experiments(limit=OFFERED)
            found = {item.name: item for item in page.items}
            for item in await api.deployments():
                if item.experiment not in found:
                    found[item.experiment] = await api.experiment(item.experiment)
        except ApiError:
            return gr.skip(), gr.skip(), gr.skip()
        latest = {
            item.name: item.latest_version for item in found.values() if item.latest_version is not None
        }
        chosen = served_by if served_by in runtimes else next(iter(runtimes), None)
        offered = gr.Dropdown(choices=list(runtimes), value=chosen)
        return gr.Dropdown(choices=_choices(list(found.values()))), latest, offered

    async def show(text: str, known: Mapping[str, int], request: gr.Request) -> tuple[str, Any]:
        try:
            found, unregistered = await client_for(request, client).everything_deployed()
            return text, cards_of(found, unregistered, known, public_api_url, visitor_of(request).me)
        except ApiError:
            return text, gr.skip()

    async def create(
        selected: str | None,
        number: int | None,
        called: str | None,
        served_by: str | None,
        known: dict[str, int],
        request: gr.Request,
    ) -> tuple[str, Any]:
        if not selected:
            return note("Choose an experiment first.", "warn"), gr.skip()
        try:
            made = await client_for(request, client).deploy(
                selected, version=number, name=(called or "").strip(), runtime=served_by or ""
            )
        except ApiError as error:
            return problem(error), gr.skip()
        return await show(note(f"{made.name} starts with version {made.version}.", "ok"), known, request)

    async def act(known: dict[str, int], event: gr.EventData, request: gr.Request) -> tuple[str, Any]:
        try:
            done = await _do(client_for(request, client), str(event.act), str(event.name), event.version)
        except ApiError as error:
            return problem(error), gr.skip()
        return await show(note(done, "ok"), known, request)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    experiment.input(_versions, [experiment, versions], [version], **quiet)
    deploy.click(create, [experiment, version, name, runtime, versions], [message, cards], **quiet)
    cards.submit(act, [versions], [message, cards], **quiet)
    outputs = [experiment, versions, runtime]
    return DeploymentsTab(cards, versions, load, [runtime], outputs, [controls, rejected])


def allow(me: Me) -> list[Any]:
    """New contents of `parts`: the controls for those who may deploy, the reason for others."""
    may = me.may("deployer")
    return [gr.Row(visible=may), "" if may else role_needed("Changing deployments", "deployer", me)]


def cards_of(
    deployments: Sequence[Deployment],
    unregistered: Sequence[Unregistered],
    versions: Mapping[str, int],
    public_api_url: str,
    me: Me,
) -> str:
    """New contents of `cards`."""
    return services.services(deployments, unregistered, versions=versions, api=public_api_url, me=me)


async def _do(client: MetadataClient, action: str, name: str, version: int | None) -> str:
    """Do what a button of a card says, and say what happens now."""
    if action == "change" and isinstance(version, int):
        return f"{name} changes to version {(await client.change_version(name, version)).version}."
    if action == "rollback":
        return f"{name} goes back to version {(await client.roll_back(name)).version}."
    if action == "stop":
        await client.stop(name)
        return f"{name} stops."
    if action == "start":
        await client.start(name)
        return f"{name} starts."
    if action == "remove":
        await client.remove(name)
        return f"{name} is removed."
    raise ApiError("This button is not known. Load the page anew.")


def _choices(experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    return [(title(item), item.name) for item in experiments if item.latest_version is not None]


def _versions(experiment: str | None, latest: Mapping[str, int]) -> Any:
    newest = latest.get(experiment or "", 0)
    numbers = range(newest, max(0, newest - services.VERSIONS), -1)
    return gr.Dropdown(choices=[(f"v{number}", number) for number in numbers], value=newest or None)
