"""The Deployments tab: what runs, in which version, and the buttons to change it; built by `app.build_ui`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from model_ui import assets
from model_ui.api_errors import ApiError, ApiUnauthenticated
from model_ui.api_types import Deployment, Experiment, Me, Unregistered
from model_ui.authentication import client_for, visitor_of
from model_ui.gradio_pages.actions import Done, do, undo
from model_ui.gradio_pages.problems import problem
from model_ui.metadata_client import MetadataClient
from model_ui.render import services
from model_ui.render.markup import role_needed

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
        experiment = _dropdown("Experiment", scale=3, min_width=240)
        version = _dropdown("Version", scale=1, min_width=110)
        name = gr.Textbox(
            label="Name",
            placeholder="same as the experiment",
            max_length=40,
            elem_id="name",
            scale=2,
            min_width=200,
        )
        runtime = _dropdown("Runtime", scale=1, min_width=130)
        deploy = gr.Button("Deploy", variant="primary", scale=0, min_width=120, elem_classes="m-go")
    message = gr.HTML(
        "",
        js_on_load=assets.text("said.js"),
        apply_default_css=False,
        elem_id="deployed",
        elem_classes="m-maybe",
    )
    last = gr.State(None)
    cards = gr.HTML("", js_on_load=assets.text("services.js"), apply_default_css=False, elem_id="services")

    async def load(served_by: str | None, request: gr.Request) -> tuple[Any, dict[str, int] | Any, Any]:
        api = client_for(request, client)
        try:
            runtimes = await api.runtimes()
            found = {item.name: item for item in await api.experiments_with_a_model()}
            for item in await api.deployments():
                if item.experiment not in found:
                    found[item.experiment] = await api.experiment(item.experiment)
        except ApiError:
            return gr.skip(), gr.skip(), gr.skip()
        latest = {
            item.name: item.latest_version for item in found.values() if item.latest_version is not None
        }
        offered = gr.Dropdown(choices=list(runtimes))
        if not served_by:
            offered = gr.Dropdown(choices=list(runtimes), value=next(iter(runtimes), None))
        return gr.Dropdown(choices=_choices(list(found.values()))), latest, offered

    async def show(known: Mapping[str, int], opened: Mapping[str, str], request: gr.Request) -> Any:
        try:
            found, unregistered = await client_for(request, client).everything_deployed()
        except ApiError:
            return gr.skip()
        return cards_of(found, unregistered, known, public_api_url, visitor_of(request).me, opened)

    async def create(
        selected: str | None,
        number: int | str | None,
        called: str | None,
        served_by: str | None,
        known: dict[str, int],
        opened: dict[str, str],
        request: gr.Request,
    ) -> tuple[str, Any, None]:
        if not selected or selected not in known:
            return services.said("Choose an experiment of the list first.", "warn"), gr.skip(), None
        if isinstance(number, str) and not number.isdecimal():
            return services.said("Choose a version of the list first.", "warn"), gr.skip(), None
        try:
            made = await client_for(request, client).deploy(
                selected,
                version=int(number) if number else None,
                name=(called or "").strip(),
                runtime=served_by or "",
            )
        except ApiError as error:
            return _failed(error), gr.skip(), None
        words = f"{made.name} starts with version {made.version}."
        return services.said(words), await show(known, opened, request), None

    async def act(
        known: dict[str, int], opened: dict[str, str], event: gr.EventData, request: gr.Request
    ) -> tuple[str | Any, Any, Done | None | Any, dict[str, str]]:
        api, action, name = client_for(request, client), str(event.act), str(event.name)
        if action in ("log", "unlog"):
            opened = {key: text for key, text in opened.items() if key != name}
            opened |= await renewed(api, {name: ""}, {name}) if action == "log" else {}
            return gr.skip(), await show(known, opened, request), gr.skip(), opened
        try:
            done = await do(api, action, name, event.version)
        except ApiError as error:
            return _failed(error), gr.skip(), None, opened
        if action == "remove":
            opened = {key: text for key, text in opened.items() if key != name}
        return services.said(done.words, undo=True), await show(known, opened, request), done, opened

    async def take_back(
        done: Done | None, known: dict[str, int], opened: dict[str, str], request: gr.Request
    ) -> tuple[str, Any, None]:
        if done is None:
            return gr.skip(), gr.skip(), None
        try:
            words = await undo(client_for(request, client), done)
        except ApiError as error:
            return _failed(error), gr.skip(), None
        return services.said(words), await show(known, opened, request), None

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    experiment.input(_versions, [experiment, versions], [version], **quiet)
    deploy.click(
        create, [experiment, version, name, runtime, versions, logs], [message, cards, last], **quiet
    )
    cards.submit(act, [versions, logs], [message, cards, last, logs], **quiet)
    message.submit(take_back, [last, versions, logs], [message, cards, last], **quiet)
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


async def renewed(client: MetadataClient, logs: Mapping[str, str], there: Collection[str]) -> dict[str, str]:
    """The open logs of the deployments that are there, as they are now; beyond a few they stay as they were."""
    new = {name: log for name, log in logs.items() if name in there}
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


def _failed(error: ApiError) -> str:
    """Why an action came to nothing."""
    return problem(error) if isinstance(error, ApiUnauthenticated) else services.said(error.detail, "bad")


def _dropdown(label: str, *, scale: int, min_width: int) -> gr.Dropdown:
    """A choice that `load` fills, of which nothing is chosen at first."""
    # Without custom values Gradio rejects all of them once the list has changed behind somebody's choice.
    return gr.Dropdown(
        [],
        label=label,
        elem_id=label.lower(),
        scale=scale,
        min_width=min_width,
        value=None,
        allow_custom_value=True,
    )


def _choices(experiments: Sequence[Experiment]) -> list[tuple[str, str]]:
    return [
        (item.display_name or item.name, item.name) for item in experiments if item.latest_version is not None
    ]


def _versions(experiment: str | None, latest: Mapping[str, int]) -> Any:
    newest = latest.get(experiment or "", 0)
    numbers = range(newest, max(0, newest - services.VERSIONS), -1)
    return gr.Dropdown(choices=[(f"v{number}", number) for number in numbers], value=newest or None)
