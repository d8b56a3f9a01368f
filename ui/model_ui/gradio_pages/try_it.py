"""Try: a task is chosen, its input asked about, and every model's answer shown; built by `app.build_ui`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from model_ui import assets, training
from model_ui.api_errors import ApiAway, ApiError, ApiRejected
from model_ui.api_types import Me
from model_ui.authentication import Visitor, visitor_of
from model_ui.gradio_pages.problems import problem
from model_ui.inputs import Incomplete, PredictionRequest, input_of
from model_ui.metadata_client import MetadataClient
from model_ui.prediction_types import Comparison
from model_ui.render import answers
from model_ui.render.markup import note, role_needed
from model_ui.render.services import choice
from model_ui.tasks import Task, tasks_of, titles

# So old may be what is known of the deployments when a model is asked: strokes of a drawing come one after the other.
READ_SECONDS = 1.5
# What the visitor can choose from.
Offer = tuple[Task, ...]


@dataclass(frozen=True)
class TryPage:
    """What the refresh of the whole page fills in.

    `asking` is told which tasks there are, `chosen` which deployments; its value is what the visitor has put off,
    which only the browser changes. `allow` gives the new contents of `parts` for a visitor.
    """

    asking: gr.HTML
    chosen: gr.HTML
    parts: list[Any]


def build(client: MetadataClient, *, deadline_ms: int | None, training_file: Path | None = None) -> TryPage:
    """Lay out the page and wire it; while `training_file` is there, what cannot be answered yet is asked again."""
    with gr.Row(elem_classes="m-try", equal_height=False):
        with gr.Column(scale=0, min_width=320, elem_classes="m-left") as controls:
            asking = gr.HTML(
                "",
                html_template=assets.text("asking.html"),
                js_on_load=assets.asking(),
                apply_default_css=False,
                elem_id="asking",
                tasks=[],
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
        with gr.Column(scale=1, min_width=320, elem_classes="m-right"):
            results = gr.HTML(
                answers.waiting(),
                js_on_load=assets.text("answers.js"),
                apply_default_css=False,
                elem_id="answers",
            )

    async def ask(value: Any, put_off: Any, request: gr.Request) -> Any:
        found = _asked(value)
        if not found.asked:
            return gr.skip()
        visitor = visitor_of(request)
        if not visitor.me.may("annotator"):
            return found.answer(role_needed("Asking models", "annotator", visitor.me))
        off = frozenset(put_off) if isinstance(put_off, list) else frozenset()
        try:
            offer = await offered(visitor, client, training_file, seconds=READ_SECONDS)
            if found.task not in {task.key for task in offer}:
                offer = await offered(visitor, client, training_file)
            trained = training.line(training_file)
            return await _answer(found, offer, off, visitor, client, deadline_ms, trained)
        except Incomplete as error:
            return found.answer(note(str(error), "warn"))
        except ApiError as error:
            return found.answer(problem(error), again=isinstance(error, ApiAway))

    gr.on(
        [asking.input, chosen.input],
        ask,
        inputs=[asking, chosen],
        outputs=results,
        show_progress="minimal",
        trigger_mode="always_last",
        api_visibility="private",
        queue=False,
    )
    return TryPage(asking, chosen, [controls, results])


def allow(me: Me, *, first: bool) -> list[Any]:
    """New contents of `parts`: the inputs for those who may ask, the reason for others.

    The first time, the page is as those need it who may ask: someone quick may have an answer there already.
    """
    may = me.may("annotator")
    if may:
        return [gr.Column(visible=True), gr.skip() if first else answers.waiting()]
    # Relative, so that it stays behind the prefix of a proxy.
    instead = (
        '<p class="m-right">You can look at all else: begin with <a href="experiments">Experiments</a>.</p>'
    )
    return [gr.Column(visible=False), role_needed("Asking models", "annotator", me) + instead]


def unchanged() -> list[Any]:
    """What leaves `parts` as they are."""
    return [gr.skip(), gr.skip()]


async def offered(
    visitor: Visitor, client: MetadataClient, training_file: Path | None, *, seconds: float = 0.0
) -> Offer:
    """What runs and what the visitor's credential covers, at most so many seconds old. Raises ApiError.

    While the first starter experiment is trained, its input is there already.
    """
    deployments = await visitor.client(client, seconds=seconds).deployments()
    found = tasks_of([(item, choice(item)) for item in deployments], visitor.me)
    if not found and visitor.me.deployments is None and training.line(training_file):
        return (training.AWAITED,)
    return found


def offer(tasks: Offer) -> tuple[Any, Any]:
    """New contents of `asking` and `chosen`."""
    shown = [
        {"key": task.key, "title": title, "about": task.about, "html": input_of(task).form(task)}
        for task, title in zip(tasks, titles(tasks), strict=True)
    ]
    choices = [[shown, name, task.key] for task in tasks for name, shown in task.deployments]
    return gr.HTML(tasks=shown), gr.HTML(offered=choices)


@dataclass(frozen=True)
class _Asked:
    """What the page sends: the number of the input, its task, what is in it, and whether to ask about it."""

    number: int
    task: str
    fields: Mapping[str, object]
    asked: bool

    def answer(self, html: str, *, again: bool = False) -> str:
        """HTML that says which input it is about; `again` has the browser ask again in a moment."""
        return f'<div data-input="{self.number}"{" data-again" if again else ""}>{html}</div>'


def _asked(value: Any) -> _Asked:
    found = value if isinstance(value, dict) else {}
    number, task = found.get("number"), found.get("task")
    return _Asked(
        number if type(number) is int else 0,
        task if isinstance(task, str) else "",
        _fields(found.get("fields")),
        found.get("asked") is True,
    )


def _fields(pairs: Any) -> dict[str, object]:
    """What an input holds by name, of `[[name, value], ...]`."""
    found = {}
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
            found[_whole(pair[0])] = _whole(pair[1]) if isinstance(pair[1], str) else pair[1]
    return found


def _whole(given: str) -> str:
    """A text with a replacement character for each half of a surrogate pair, which browsers send and UTF-8 lacks."""
    return given.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


async def _answer(
    found: _Asked,
    offer: Offer,
    off: frozenset[Any],
    visitor: Visitor,
    client: MetadataClient,
    deadline_ms: int | None,
    trained: str,
) -> str:
    """HTML of what all models say that are not put `off`. Raises Incomplete and ApiError."""
    task = next((task for task in offer if task.key == found.task), None)
    if task is None:
        return found.answer(note("No deployment takes this any more.", "warn"), again=True)
    kind = input_of(task)
    request = kind.request(task, found.fields)
    if trained and _nobody_is_ready(task):
        words = f"Now {trained}. The first model that is ready answers."
        waiting = note(words) if request else answers.waiting(kind.waiting(task)[0], words)
        return found.answer(waiting, again=True)
    if request is None:
        return found.answer(answers.waiting(*kind.waiting(task)))
    selected = [name for name, _ in task.deployments if name not in off]
    if not selected:
        return found.answer(note("Choose at least one deployment to ask.", "warn"))
    # Where there is no other task, everything means everything that shall run, also what was deployed a moment ago.
    me = visitor.me
    every = me.deployments is None and len(offer) == 1 and len(selected) == len(task.deployments)
    said = await _predict(visitor.client(client), request, None if every else selected, deadline_ms)
    return found.answer(answers.answers(said, may_label=me.may_all("annotator")))


def _nobody_is_ready(task: Task) -> bool:
    return all(shown != name for name, shown in task.deployments)


async def _predict(
    api: MetadataClient, request: PredictionRequest, names: list[str] | None, deadline_ms: int | None
) -> Comparison:
    """Ask these deployments; when one of them has gone meanwhile, those that are still there. Raises ApiError."""
    try:
        return await api.predict(request.image, request.body, deployments=names, deadline_ms=deadline_ms)
    except ApiRejected as error:
        if names is None or error.code != "deployment_unknown":
            raise
        there = {item.name for item in await api.deployments()}
        left = [name for name in names if name in there]
        if not left:
            raise
        return await api.predict(request.image, request.body, deployments=left, deadline_ms=deadline_ms)
