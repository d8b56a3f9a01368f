"""A model of ONNX; its frozen copy needs onnxruntime only."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Array = npt.NDArray[Any]
RESULT = "output"


class OnnxModel:
    """Arrays in the order of the model's inputs in, its outputs by name out; a single one is called `output`."""

    def __init__(self, folder: Path, packing: dict[str, Any], threads: int) -> None:
        """Raises what onnxruntime raises."""
        self._softmax = packing["softmax"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        file = str(folder / packing["file"])
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._outputs = [one.name for one in self._session.get_outputs()]

    def prepare(self, _example: Callable[[], list[Array]]) -> None:
        """Nothing: there is one way to run it."""

    def __call__(self, arrays: list[Array]) -> dict[str, Array]:
        """The results as arrays. Raises what onnxruntime raises, and ValueError for results that are no arrays."""
        found = self._session.run(None, dict(zip(self._inputs, arrays, strict=True)))
        results = {
            name: one for name, one in zip(self._outputs, found, strict=True) if isinstance(one, np.ndarray)
        }
        if not results:
            raise ValueError("the model gave no tensor")
        if len(results) > 1:
            return results
        (array,) = results.values()
        return {RESULT: _softmax(array) if self._softmax else array}


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(-1, keepdims=True))
    result: Array = powers / powers.sum(-1, keepdims=True)
    return result
