"""A model that answers what it was sent, in every datatype that v2 has."""

from pathlib import Path

from serving_runtime.archive import mar
from serving_runtime.contracts import DATATYPES

SIZE = 2  # elements of a row


def input_name(datatype: str) -> str:
    return f"in_{datatype.lower()}"


def output_name(datatype: str) -> str:
    return f"out_{datatype.lower()}"


HANDLER = """
class Echo:
    def initialize(self, context):
        pass

    def predict(self, inputs):
        return {name.replace("in_", "out_"): array for name, array in inputs.items()}
"""


def echo(path: Path) -> mar.MarInfo:
    """Inputs `in_DATATYPE` of shape [-1, 2] for each datatype; the outputs `out_DATATYPE` are the same again."""
    lines = ["name: echo", "inputs:"]
    lines += [f"- {{name: {input_name(each)}, datatype: {each}, shape: [-1, {SIZE}]}}" for each in DATATYPES]
    lines.append("outputs:")
    lines += [f"- {{name: {output_name(each)}, datatype: {each}, shape: [-1, {SIZE}]}}" for each in DATATYPES]
    files: dict[str, bytes | Path] = {"handler.py": HANDLER.encode(), "model.yaml": "\n".join(lines).encode()}
    return mar.build(path, name="echo", handler="handler.py", serialized_file=None, files=files)


MATRIX_CARD = b"""
name: mymodel
inputs:
- {name: input0, datatype: UINT32, shape: [-1, 2]}
- {name: input1, datatype: BOOL, shape: [-1]}
outputs:
- {name: output0, datatype: FP32, shape: [-1, 2]}
"""

MATRIX_HANDLER = b"""
import numpy as np

class Matrix:
    def initialize(self, context):
        pass

    def predict(self, inputs):
        if (inputs["input0"] == 404).any():
            raise ValueError("\\u2026 no 404 " * 100)
        chosen = np.where(inputs["input1"][:, None], inputs["input0"], 0)
        return {"output0": chosen.astype(np.float32)}
"""


def matrix(path: Path) -> mar.MarInfo:
    """The model of the specification's examples: rows of `input0` where `input1` is true, zeros elsewhere.

    It does not take 404, and says so in more than a kilobyte.
    """
    files: dict[str, bytes | Path] = {"handler.py": MATRIX_HANDLER, "model.yaml": MATRIX_CARD}
    return mar.build(path, name="mymodel", handler="handler.py", serialized_file=None, files=files)
