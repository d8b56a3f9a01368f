"""The page of one prediction: the input, every answer of the call, where the answer came from; and ask again."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue
from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.label_types import Label, LabelPage
from model_ui.lineage_types import Lineage
from model_ui.names import SHA256
from model_ui.prediction_types import AskedAgain, Recorded, RecordedPage
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit

# Answers of one call that are shown, and letters of a text or of tensors.
ANSWERS, LETTERS = 200, 5000
# A model may take as long as its deployment allows.
SECONDS = 120.0


async def show(visit: Visit) -> Response:
    """The page."""
    item = await read(visit)
    call = {"request_id": item.request_id, "limit": str(ANSWERS)}
    together = await visit.api.call(RecordedPage, "GET", "/v1/predictions", params=call)
    lineage = await visit.api.call(Lineage, "GET", f"/v1/predictions/{item.prediction_id}/lineage")
    return await visit.render(
        "prediction.html",
        title="Prediction",
        seconds=0,
        item=item,
        answers_of_call=sorted(together.items, key=lambda one: one.deployment),
        minority=minority(together.items),
        content=await _content(visit, item),
        labels=await _labels(visit, item),
        agrees=agrees,
        lineage=lineage,
        task=lineage.version.task,
    )


def minority(answers: Sequence[Recorded]) -> set[str]:
    """Ids of the answers of a split call that fewer gave than another answer to the same task."""
    votes = Counter((one.task, _said(one)) for one in answers if one.disagrees)
    most = {task: max(count for (of, _), count in votes.items() if of == task) for task, _ in votes}
    return {
        one.prediction_id for one in answers if one.disagrees and votes[one.task, _said(one)] < most[one.task]
    }


def _said(one: Recorded) -> str | None:
    return one.label if one.label is not None else one.text


async def ask_again(visit: Visit, _: FormData) -> Response:
    """Ask the same version about the same input, and say in what the answers differ."""
    item = await read(visit)
    path = f"/v1/predictions/{item.prediction_id}/again"
    told = await visit.api.call(AskedAgain, "POST", path, timeout=SECONDS)
    to = f"/prediction?id={told.after.prediction_id}"
    if told.same:
        return visit.done(f"{told.after.deployment} answers the same again.", link="The new answer", href=to)
    differences = ", ".join(
        f"{one.field.replace('probabilities.', 'probability of ')} {_short(one.before)} → {_short(one.after)}"
        for one in told.differences[:5]
    )
    more = len(told.differences) - 5
    words = (
        f"{told.after.deployment} answers otherwise: {differences}{f', and {more} more' if more > 0 else ''}."
    )
    return visit.done(words, kind="warn", link="The new answer", href=to)


async def read(visit: Visit) -> Recorded:
    """The prediction whose `id` is in the address; raises ApiRejected."""
    # The API checks that it is an id; here only that it is one segment.
    identity = visit.query("id")
    if not identity or not identity.replace("-", "").isalnum() or len(identity) > 36:
        raise ApiRejected(404, "prediction_unknown", "There is no such prediction.")
    return await visit.api.call(Recorded, "GET", f"/v1/predictions/{identity}")


async def _labels(visit: Visit, item: Recorded) -> list[Label]:
    """What people say is right about the input, one label for each task; none when the input is not stored any more."""
    if not SHA256.fullmatch(item.input_sha256):
        return []
    try:
        page = await visit.api.call(LabelPage, "GET", f"/v1/inputs/{item.input_sha256}/labels")
    except ApiRejected:
        return []
    return [label for label in page.items if label.current]


def agrees(item: Recorded, label: Label) -> bool | None:
    """Whether an answer is what a label says is right; None where they cannot be compared as texts."""
    said = _said(item)
    return None if said is None or label.number is not None else said.strip() == label.words


async def _content(visit: Visit, item: Recorded) -> Any:
    """What was asked about, for other kinds than images: a text, or the names and values of a row, or JSON as text."""
    kind = item.input.kind if item.input else ""
    if kind == "image" or not SHA256.fullmatch(item.input_sha256):
        return None
    try:
        text = (await visit.api.request("GET", f"/v1/inputs/{item.input_sha256}")).text
    except ApiRejected as error:
        return error.detail
    if kind == "row":
        found = json.loads(text)
        if isinstance(found, dict):
            return {str(name): value for name, value in found.items()}
    return text[:LETTERS] + ("…" if len(text) > LETTERS else "")


def _short(value: JsonValue) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


PAGES = (Page("/prediction", show, {"again": ask_again}),)
