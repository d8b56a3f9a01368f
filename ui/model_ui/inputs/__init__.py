"""What models can be asked about: one module for each kind of input, and the registry that the Try page reads."""

from model_ui.inputs import image, table, tensor, text
from model_ui.inputs.base import Incomplete, InputKind, PredictionRequest
from model_ui.tasks import Task

__all__ = ["INPUTS", "Incomplete", "InputKind", "PredictionRequest", "input_of"]

INPUTS: dict[str, InputKind] = {
    "image": image.KIND,
    "table": table.KIND,
    "text": text.KIND,
    "tensor": tensor.KIND,
    "raw": tensor.KIND,
}


def input_of(task: Task) -> InputKind:
    """The input of a task; one of an unknown kind is given as tensors."""
    return INPUTS.get(task.kind, tensor.KIND)
