"""What is being trained beside the running system: a line that the one-machine mode keeps in a file."""

from pathlib import Path

from model_ui.render.markup import note
from model_ui.spec_types import ImageFormat, Tensor
from model_ui.tasks import Task

LONGEST = 200
# The starter experiments that are trained first; what is drawn meanwhile waits for the first of them.
AWAITED = Task(
    key="digits",
    inputs=(Tensor(kind="image", image=ImageFormat(width=28, height=28)),),
    outputs=(Tensor(kind="probabilities"),),
    labels=tuple(str(digit) for digit in range(10)),
    deployments=(),
)


def line(file: Path | None) -> str:
    """Such as `training 3 of 15: cnn-baseline`; empty when nothing is trained, or nothing is known of it."""
    if file is None:
        return ""
    try:
        return file.read_text("utf-8", errors="replace").strip()[:LONGEST]
    except OSError:
        return ""


def said(training: str) -> str:
    """HTML of the line on top of all pages; empty when nothing is trained."""
    return note(f"Now {training}. Models appear by themselves as soon as they are ready.") if training else ""
