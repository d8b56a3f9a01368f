"""Any tensors: all outputs of a model, as v2 writes them."""

from metadata_api.predicting.base import Answer, Json, Outputs, text_of
from serving_runtime.protocol.tensors import Tensor

RANK = 5
FAMILY = "none"
# Longer data is not told: a page cannot show it, and /v2 gives it.
MOST_ELEMENTS = 10_000
_TENSORS = 16


def read(outputs: Outputs) -> Answer:
    """Every output; the data of a long one is None."""
    return Answer("tensor", tensors=[_shown(one) for one in list(outputs.tensors.values())[:_TENSORS]])


def _shown(tensor: Tensor) -> Json:
    count = 1
    for size in tensor.shape:
        count *= size
    data = tensor.values() if count <= MOST_ELEMENTS else None
    if data is not None and isinstance(tensor.data, list):
        data = [text_of(str(value)) for value in data] if sum(map(len, tensor.data)) <= 100_000 else None
    return {
        "name": text_of(tensor.name)[:100],
        "datatype": tensor.datatype,
        "shape": list(tensor.shape),
        "data": data,
    }
