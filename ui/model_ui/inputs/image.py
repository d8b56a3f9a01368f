"""Images: a sketchpad for small grey ones such as digits, a place for an image file for all others."""

import base64
import binascii
from collections.abc import Mapping

from model_ui import assets
from model_ui.inputs.base import InputKind, PredictionRequest, button
from model_ui.tasks import Task

# What is larger is no drawing.
SMALL = 64
KEYS = (
    "Arrow keys move a pen, with Shift by half a step; Home, End, Page Up and Page Down go aslant. Space puts it "
    "down and lifts it. Escape takes the stroke back, Ctrl+Z the last one. Enter asks."
)
DIGITS = tuple(str(digit) for digit in range(10))


def _form(task: Task) -> str:
    return _pad(task) if _is_drawn(task) else _file(task)


def _pad(task: Task) -> str:
    noun = "a digit" if _is_digits(task) else "something"
    examples = (
        f'<div class="m-examples" role="group" aria-label="Examples">{assets.examples()}</div>'
        if _is_digits(task)
        else ""
    )
    take = ", or take an example" if examples else ""
    label = f"Sketchpad: draw {noun} with the mouse, a finger, a pen or the keyboard"
    return (
        f'<div class="m-pad m-sketchpad" data-widget="sketchpad" '
        f'data-missing="Draw {noun} first, upload an image{take}.">'
        f'<div class="m-paper"><canvas width="392" height="392" tabindex="0" role="application" aria-label="{label}" '
        f'aria-describedby="m-keys"></canvas><p class="m-hint" aria-hidden="true">draw {noun} here</p>'
        f'<i class="m-pen" aria-hidden="true" hidden></i></div><p class="m-sub m-keys" id="m-keys">{KEYS}</p>'
        '<p class="m-hidden m-pen-said" role="status"></p>'
        f'<div class="m-tools">{button("clear", "Clear")}{button("undo", "Undo")}{button("upload", "Upload…")}'
        f"{button('predict', 'Predict', primary=True)}"
        f'<input type="file" accept="image/png,image/jpeg,image/webp" aria-label="Upload an image" hidden></div>'
        f"{examples}</div>"
    )


def _file(task: Task) -> str:
    image = task.inputs[0].image
    gets = ""
    if image is not None and image.width and image.height:
        colours = "grey" if image.channels == 1 else "colour"
        gets = f'<p class="m-sub">The models get {image.width} × {image.height} pixels in {colours}.</p>'
    return (
        '<div class="m-pad" data-widget="picture"><div class="m-paper m-picture" tabindex="0" role="group" '
        'aria-label="Image: drop or paste one here"><img alt="the image that the models are asked about" hidden>'
        '<p class="m-hint" aria-hidden="true">drop or paste an image here</p></div>'
        f'<div class="m-tools">{button("clear", "Clear")}{button("upload", "Choose an image…")}'
        f"{button('predict', 'Predict', primary=True)}"
        '<input type="file" accept="image/png,image/jpeg,image/webp" aria-label="Choose an image" hidden></div>'
        f"{gets}</div>"
    )


def _request(_: Task, fields: Mapping[str, object]) -> PredictionRequest | None:
    image = fields.get("image")
    if not isinstance(image, str) or not image:
        return None
    try:
        return PredictionRequest(image=base64.b64decode(image.partition(",")[2], validate=True))
    except (binascii.Error, ValueError):
        # What the API rejects as not being an image.
        return PredictionRequest(image=b"")


def _waiting(task: Task) -> tuple[str, str]:
    if not _is_drawn(task):
        return (
            "Bring an image",
            "Drop one on the left, paste it, or choose a file; every chosen deployment answers.",
        )
    title = "Draw a digit" if _is_digits(task) else "Draw something"
    return title, "Every chosen deployment answers as soon as you lift the pen."


def _is_drawn(task: Task) -> bool:
    image = task.inputs[0].image
    if image is None or image.channels != 1:
        return False
    return 0 < max(image.width or 0, image.height or 0) <= SMALL


def _is_digits(task: Task) -> bool:
    return task.labels == DIGITS


KIND = InputKind(_form, _request, _waiting)
