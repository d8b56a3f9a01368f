"""Small .mar files for the tests of serving: a model that sums pixels, and ways to be broken."""

from pathlib import Path

import orjson

from serving_runtime.archive import mar

SPEC = """
name: {name}
inputs: [{{name: image, datatype: UINT8, shape: [-1, 2, 3], accepts: [UINT8, FP32, BYTES]}}]
outputs: [{{name: total, datatype: FP32, shape: [-1]}}, {{name: label, datatype: BYTES, shape: [-1]}}]
"""

# Answers total = sum of the pixels + OFFSET. Special first pixels make it misbehave, so that a test can choose.
HANDLER = """
import os, time
import numpy as np

OFFSET = {offset}
{extra}

class Summing:
    def initialize(self, context):
        {on_load}

    def predict(self, inputs, *, return_preprocessed=False):
        {each_call}
        if type(return_preprocessed) is not bool:
            raise ValueError("return_preprocessed must be true or false")
        image = inputs["image"]
        if image.dtype == object:
            image = np.stack([np.full((2, 3), len(item) % 256, dtype=np.uint8) for item in image])
        first = image.reshape(len(image), -1)[:, 0]
        if (first == 251).any():
            raise ValueError("the first pixel may not be 251")
        if (first == 252).any():
            raise RuntimeError("the model is broken at 252")
        if (first == 253).any():
            time.sleep(0.3)
        if (first == 254).any():
            os._exit(3)
        total = image.reshape(len(image), -1).astype(np.float32).sum(1) + OFFSET
        if (first == 250).any():
            total[first == 250] = np.nan
        outputs = {{"total": total, "label": np.array([f"sum {{value:g}}" for value in total], dtype=object)}}
        if return_preprocessed:
            outputs["preprocessed"] = image.astype(np.uint8)
        return outputs
"""


def summing(
    path: Path,
    *,
    name: str = "summing",
    offset: float = 0,
    on_load: str = "pass",
    each_call: str = "pass",
    extra: str = "",
    golden: bool = True,
    golden_total: float | None = None,
) -> mar.MarInfo:
    """Pack the summing model; `golden_total` is what the archive promises for pixels 1..6 (default: the truth)."""
    total = 21.0 + offset if golden_total is None else golden_total
    pair = {
        "request": {
            "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "data": [1, 2, 3, 4, 5, 6]}]
        },
        "response": {
            "outputs": [
                {"name": "total", "datatype": "FP32", "shape": [1], "data": [total]},
                {"name": "label", "datatype": "BYTES", "shape": [1], "data": [f"sum {total:g}"]},
            ]
        },
    }
    files: dict[str, bytes | Path] = {
        "handler.py": HANDLER.format(
            offset=offset, on_load=on_load, each_call=each_call, extra=extra
        ).encode(),
        "model.yaml": SPEC.format(name=name).encode(),
    }
    if golden:
        files["golden.json"] = orjson.dumps(pair)
    return mar.build(path, name=name, handler="handler.py", serialized_file=None, files=files)


PLAIN_HANDLER = """
class Plain:
    def initialize(self, context):
        self.name = context.manifest["model"]["handler"]

    def handle(self, data, context):
        return [
            {"handler": self.name, "kind": type(row["body"]).__name__, "length": len(row["body"])} for row in data
        ]
"""


def plain(path: Path, *, name: str = "plain") -> mar.MarInfo:
    """An archive in TorchServe's own style: no model.yaml, only `handle(data, context)`."""
    files: dict[str, bytes | Path] = {"handler.py": PLAIN_HANDLER.encode()}
    return mar.build(path, name=name, handler="handler.py", serialized_file=None, files=files)
