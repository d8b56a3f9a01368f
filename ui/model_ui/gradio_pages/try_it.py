"""Try: a task is chosen, its input asked about, and every model's answer shown; built by `app.build_ui`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from model_ui import assets, training
from model_ui.api_errors import ApiAway, ApiError, ApiRejected
from model_ui.api_types import Deployment, Me
from model_ui.authentication import client_for, visitor_of
from model_ui.gradio_pages.problems import problem
from model_ui.inputs import Incomplete, Question, input_of
from model_ui.metadata_client import MetadataClient
from model_ui.prediction_types import Comparison
from model_ui.render import answers
from model_ui.render.markup import note, role_needed
from model_ui.render.services import choice
from model_ui.tasks import Task, tasks_of, titles

# What the visitor can choose from.
Offer = tuple[Task, ...]


@dataclass(frozen=True)
class TryPage:
    """What the refresh of the whole page reads and fills in; `known` holds what was offered last.

    `asking` is told which tasks there are, `chosen` which deployments; its value is what the visitor has put off,
    which only the browser changes. `allow` gives the new contents of `parts` for a visitor.
    """

    asking: gr.HTML
    chosen: gr.HTML
    known: gr.State
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
            known = gr.State(())
        with gr.Column(scale=1, min_width=320, elem_classes="m-right"):
            results = gr.HTML(
                answers.waiting(),
                js_on_load=assets.text("answers.js"),
                apply_default_css=False,
                elem_id="answers",
            )

    async def ask(value: Any, put_off: Any, offered: Offer, request: gr.Request) -> Any:
        found = _asked(value)
        if not found.asked:
            return gr.skip()
        me = visitor_of(request).me
        if not me.may("annotator"):
            return found.answer(role_needed("Asking models", "annotator", me))
        task = next((task for task in offered if task.key == found.task), None)
        if task is None:
            return found.answer(note("No deployment takes this any more.", "warn"), again=True)
        kind = input_of(task)
        try:
            question = kind.question(task, found.fields)
        except Incomplete as error:
            return found.answer(note(str(error), "warn"))
        if (now := training.line(training_file)) and _nobody_is_ready(task):
            words = f"Now {now}. The first model that is ready answers."
            waiting = note(words) if question else answers.waiting(kind.waiting(task)[0], words)
            return found.answer(waiting, again=True)
        if question is None:
            return found.answer(answers.waiting(*kind.waiting(task)))
        off = set(put_off) if isinstance(put_off, list) else set()
        selected = [name for name, _ in task.deployments if name not in off]
        if not selected:
            return found.answer(note("Choose at least one deployment to ask.", "warn"))
        # Where there is no other task, everything means everything that shall run, also what was deployed a moment ago.
        every = me.deployments is None and len(offered) == 1 and len(selected) == len(task.deployments)
        try:
            said = await _predict(
                client_for(request, client), question, None if every else selected, deadline_ms
            )
            return found.answer(answers.answers(said, may_label=me.may_all("annotator")))
        except ApiError as error:
            return found.answer(problem(error), again=isinstance(error, ApiAway))

    gr.on(
        [asking.input, chosen.input],
        ask,
        inputs=[asking, chosen, known],
        outputs=results,
        show_progress="minimal",
        trigger_mode="always_last",
        api_visibility="private",
    )
    return TryPage(asking, chosen, known, [controls, results])


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


def offer(
    deployments: Sequence[Deployment], known: Offer, me: Me, *, is_training: bool = False
) -> tuple[Any, Any, Any]:
    """New contents of `asking`, `chosen` and `known`: what runs and what the visitor's credential covers.

    While the first starter experiment `is_training`, its input is there already.
    """
    offered = tasks_of([(item, choice(item)) for item in deployments], me)
    if is_training and not offered and me.deployments is None:
        offered = (training.AWAITED,)
    if offered == tuple(known):
        return gr.skip(), gr.skip(), gr.skip()
    tasks = [
        {"key": task.key, "title": title, "about": task.about, "html": input_of(task).form(task)}
        for task, title in zip(offered, titles(offered), strict=True)
    ]
    choices = [[shown, name, task.key] for task in offered for name, shown in task.deployments]
    return gr.HTML(tasks=tasks), gr.HTML(offered=choices), offered


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
    number, task, fields = found.get("number"), found.get("task"), found.get("fields")
    return _Asked(
        number if type(number) is int else 0,
        task if isinstance(task, str) else "",
        fields if isinstance(fields, dict) else {},
        found.get("asked") is True,
    )


def _nobody_is_ready(task: Task) -> bool:
    return all(shown != name for name, shown in task.deployments)


async def _predict(
    api: MetadataClient, question: Question, names: list[str] | None, deadline_ms: int | None
) -> Comparison:
    """Ask these deployments; when one of them has gone meanwhile, those that are still there. Raises ApiError."""
    try:
        return await api.predict(question.image, question.body, deployments=names, deadline_ms=deadline_ms)
    except ApiRejected as error:
        if names is None or error.code != "deployment_unknown":
            raise
        there = {item.name for item in await api.deployments()}
        left = [name for name in names if name in there]
        if not left:
            raise
        return await api.predict(question.image, question.body, deployments=left, deadline_ms=deadline_ms)
