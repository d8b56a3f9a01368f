"""The handler of a packed model: what `model.yaml` declares in, what it declares out.

A frozen copy lies in every archive that `marina pack` writes, beside it `images.py` and the code for its format:
`torch_model.py` with `fastest.py`, `skops_model.py` or `onnx_model.py`. `packing.json` says how the model wants to be
called. TorchServe demands exactly one class in this file.
"""

import base64
import importlib
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import yaml

if TYPE_CHECKING or __package__:
    from . import images
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    import images

Array = npt.NDArray[Any]


class Handler:
    """Whole batches in, the declared outputs out."""

    def initialize(self, context: Any) -> None:
        """Load the model from the folder that the server names."""
        folder = Path(context.system_properties["model_dir"])
        spec = yaml.safe_load((folder / "model.yaml").read_text("utf-8"))
        self.packing = json.loads((folder / "packing.json").read_text("utf-8"))
        self.inputs = spec["inputs"]
        self.labels = np.array(spec.get("labels", []), dtype=object)
        # Set in every worker, and nowhere else: where the model is packed, it runs as it is.
        threads = os.environ.get("SERVING_TORCH_THREADS")
        self.model = load_model(folder, self.packing, self.inputs, int(threads or 1))
        if threads is not None:
            self.model.prepare(lambda: _example(folder, self._arrays))

    def predict(self, inputs: dict[str, Array], *, return_preprocessed: bool = False) -> dict[str, Array]:
        """Answer a whole batch; with `return_preprocessed` also what an image model got, uint8 [n, height, width(, 3)].

        Raises ValueError with a readable reason if the input cannot be used.
        """
        arrays = self._arrays(inputs)
        found = _by_rows(self.model, arrays, self.packing["batch"])
        outputs = {name: found[key] for key, name in self.packing["outputs"] if key in found}
        probabilities = outputs.get("probabilities")
        if probabilities is not None:
            outputs["probabilities"] = probabilities.astype(np.float32, copy=False)
            outputs["label"] = self.labels[probabilities.argmax(1)]
        if return_preprocessed and self.packing["image"]:
            outputs["preprocessed"] = images.as_pixels(arrays[0], self.packing["image"])
        return outputs

    def _arrays(self, inputs: dict[str, Array]) -> list[Array]:
        """The inputs in the order in which the model takes them, as it takes them."""
        for declared in self.inputs:
            if declared["name"] not in inputs:
                raise ValueError(f"the input {declared['name']!r} is missing")
        given = [inputs[declared["name"]] for declared in self.inputs]
        if self.packing["image"]:
            return [images.prepare(given[0], self.packing["image"])]
        return [
            _from_bytes(one, declared) if one.dtype == np.object_ else one
            for one, declared in zip(given, self.inputs, strict=True)
        ]


def load_model(folder: Path, packing: dict[str, Any], inputs: list[dict[str, Any]], threads: int = 1) -> Any:
    """The model, by the code that is packed for its format; `threads` is how many it may use."""
    prefix = f"{__package__}." if __package__ else ""
    match packing["format"]:
        case "skops":
            return importlib.import_module(f"{prefix}skops_model").SkopsModel(folder, packing, inputs)
        case "onnx":
            names = [one["name"] for one in inputs]
            return importlib.import_module(f"{prefix}onnx_model").OnnxModel(folder, packing, names, threads)
    return importlib.import_module(f"{prefix}torch_model").TorchModel(folder, packing, threads)


def _by_rows(model: Any, arrays: list[Array], batch: str) -> dict[str, Array]:
    """What the model gives for a batch. It may take `any` number of rows at once, `one`, or no batch at all: `none`."""
    if batch == "any":
        found: dict[str, Array] = model(arrays)
        return found
    rows = [
        model([one[at : at + 1] if batch == "one" else one[at] for one in arrays])
        for at in range(len(arrays[0]))
    ]
    join = np.concatenate if batch == "one" else np.stack
    return {key: join([row[key] for row in rows]) for key in rows[0]}


def _example(folder: Path, arrays: Any) -> list[Array]:
    """The golden request as the model gets it, to measure with."""
    request = json.loads((folder / "golden.json").read_text("utf-8"))["request"]
    inputs = {}
    for tensor in request["inputs"]:
        if tensor["datatype"] == "BYTES":
            if "parameters" not in tensor:
                return []
            inputs[tensor["name"]] = np.array([base64.b64decode(one) for one in tensor["data"]], dtype=object)
            continue
        dtype = tensor["datatype"].lower().replace("fp", "float")
        inputs[tensor["name"]] = np.array(tensor["data"], dtype).reshape(tensor["shape"])
    found: list[Array] = arrays(inputs)
    return found


def _from_bytes(elements: Array, declared: dict[str, Any]) -> Array:
    """Texts, or the numbers in a table of them."""
    texts = _decoded(elements)
    return numbers_of(texts, declared["columns"]) if declared.get("columns") else texts


def numbers_of(rows: Array, columns: list[dict[str, Any]]) -> Array:
    """float32 [n, columns] of texts: a category as its index, NaN for a value that is missing. Raises ValueError."""
    found = np.empty(rows.shape, np.float32)
    for at, column in enumerate(columns):
        found[:, at] = [_number(text, column) for text in rows[:, at]]
    return found


def _number(text: str, column: dict[str, Any]) -> float:
    name, categories = column["name"], column.get("categories")
    if not text.strip():
        if column.get("optional"):
            return math.nan
        raise ValueError(f"{name} must not be missing")
    if categories:
        if text not in categories:
            raise ValueError(f"{name} must be one of {', '.join(categories)}")
        return float(categories.index(text))
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number{', or nothing' if column.get('optional') else ''}")
    return number


def _decoded(elements: Array) -> Array:
    """Texts from the bytes that came."""
    texts = np.empty(elements.shape, dtype=object)
    for at, element in np.ndenumerate(elements):
        try:
            texts[at] = element.decode() if isinstance(element, bytes) else str(element)
        except UnicodeDecodeError:
            raise ValueError("a text is not UTF-8") from None
    return texts
