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
    """Arrays in, its outputs by name out; a single one is called `output`.

    Arrays are those of the model's inputs of these names; else they are in the order of its inputs.
    """

    def __init__(self, folder: Path, packing: dict[str, Any], names: list[str], threads: int) -> None:
        """Raises what onnxruntime raises."""
        self._softmax = packing["softmax"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        file = str(folder / packing["file"])
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        own = [one.name for one in self._session.get_inputs()]
        self._inputs = names if sorted(names) == sorted(own) else own
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
        if len(results) == 1:
            results = dict(zip([RESULT], results.values(), strict=True))
        if self._softmax:
            results[self._softmax] = _softmax(results[self._softmax])
        return results


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(-1, keepdims=True))
    result: Array = powers / powers.sum(-1, keepdims=True)
    return result
