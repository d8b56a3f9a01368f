"""What a model says of which nothing is known: what its answer can be read as, else its text or its tensors."""

from contextlib import suppress

from metadata_api.predicting.answers import boxes, probabilities, tensor
from metadata_api.predicting.answers.number import LARGEST
from metadata_api.predicting.base import Answer, Outputs, text_of
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.protocol.tensors import Tensor

RANK = 6
FAMILY = "none"


def read(outputs: Outputs) -> Answer:
    """The kind of the answer is what was found."""
    if len(outputs.tensors) != 1:
        return tensor.read(outputs)
    [only] = outputs.tensors.values()
    if not isinstance(only.data, list) or len(only.data) != 1:
        return tensor.read(outputs)
    with suppress(ValueError):
        found = probabilities.read(_as("probabilities", only, outputs))
        if all(0 <= value <= 1 for _, value in found.probabilities or ()):
            return found
    with suppress(ValueError):
        if (seen := boxes.read(_as("boxes", only, outputs))).boxes:
            return seen
    with suppress(ValueError):
        if abs(number := float(only.data[0])) < LARGEST:
            return Answer("number", number=number)
    return Answer("text", text=text_of(only.data[0]))


def _as(kind: str, only: Tensor, outputs: Outputs) -> Outputs:
    """The same outputs, if the only one were of this kind."""
    spec = TensorSpec(only.name, only.datatype, (-1,), (only.datatype,), kind)
    return Outputs((spec,), outputs.labels, outputs.tensors)
