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
# Lines of each process, and how many open logs are kept fresh.
LINES, RENEWED = 40, 3


@dataclass(frozen=True)
class DeploymentsTab:
    """What the refresh of the whole page reads and fills in; `load` fills the choices into `outputs`.

    `allow` gives the new contents of `parts` for a visitor.
    """

    cards: gr.HTML
    versions: gr.State
    logs: gr.State
    """Logs that the visitor has opened, as text by deployment."""
    load: Any
    inputs: list[Any]
    outputs: list[Any]
    parts: list[Any]


def build(client: MetadataClient, *, public_api_url: str) -> DeploymentsTab:
    """Lay out the tab and wire it."""
    versions = gr.State({})
    logs = gr.State({})
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

    async def show(
        text: str, known: Mapping[str, int], opened: Mapping[str, str], request: gr.Request
    ) -> tuple[str, Any]:
        try:
            found, unregistered = await client_for(request, client).everything_deployed()
            me = visitor_of(request).me
            return text, cards_of(found, unregistered, known, public_api_url, me, opened)
        except ApiError:
            return text, gr.skip()

    async def create(
        selected: str | None,
        number: int | None,
        called: str | None,
        served_by: str | None,
        known: dict[str, int],
        opened: dict[str, str],
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
        message = note(f"{made.name} starts with version {made.version}.", "ok")
        return await show(message, known, opened, request)

    async def act(
        known: dict[str, int], opened: dict[str, str], event: gr.EventData, request: gr.Request
    ) -> tuple[str, Any, dict[str, str]]:
        api, action, name = client_for(request, client), str(event.act), str(event.name)
        done = ""
        if action in ("log", "unlog"):
            opened = {key: text for key, text in opened.items() if key != name}
        try:
            if action == "log":
                opened[name] = await _log(api, name)
            elif action != "unlog":
                done = note(await _do(api, action, name, event.version), "ok")
        except ApiError as error:
            return problem(error), gr.skip(), opened
        return *(await show(done, known, opened, request)), opened

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    experiment.input(_versions, [experiment, versions], [version], **quiet)
    deploy.click(create, [experiment, version, name, runtime, versions, logs], [message, cards], **quiet)
    cards.submit(act, [versions, logs], [message, cards, logs], **quiet)
    outputs = [experiment, versions, runtime]
    return DeploymentsTab(cards, versions, logs, load, [runtime], outputs, [controls, rejected])


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
    logs: Mapping[str, str],
) -> str:
    """New contents of `cards`."""
    return services.services(
        deployments, unregistered, versions=versions, api=public_api_url, me=me, logs=logs
    )


async def renewed(client: MetadataClient, logs: Mapping[str, str]) -> dict[str, str]:
    """The logs that are open, as they are now; of more than a few the others stay as they were."""
    new = dict(logs)
    for name in tuple(new)[:RENEWED]:
        try:
            new[name] = await _log(client, name)
        except ApiError:
            continue
    return new


async def _log(client: MetadataClient, name: str) -> str:
    """The last lines of a deployment's log as one text."""
    parts = (await client.log(name, lines=LINES)).parts
    return "\n".join(
        line for part in parts for line in [*([f"{part.pod}:"] if part.pod else []), *part.lines]
    )


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
