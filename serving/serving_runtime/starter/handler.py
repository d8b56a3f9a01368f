"""The model behind TorchServe: loads an unpacked archive and answers whole batches.

TorchServe's worker calls it; a frozen copy lies in every archive that we build, with `predictor.py`, `fastest.py`,
`preprocess.py` and `unusual.py` beside it. TorchServe demands exactly one class in this file.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING or __package__:
    from . import preprocess, unusual
    from .predictor import Predictor
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    import preprocess
    import unusual
    from predictor import Predictor

RAW_BYTES = preprocess.SIDE * preprocess.SIDE

Array = npt.NDArray[Any]


class Handler:
    """Digits in, a label and the probabilities of all labels out."""

    def initialize(self, context: Any) -> None:
        """Load the model from the folder that TorchServe names. `context` is TorchServe's."""
        threads = os.environ.get("SERVING_TORCH_THREADS")  # set in every worker, and nowhere else
        torch.set_num_threads(int(threads or 1))
        folder = Path(context.system_properties["model_dir"])
        weights = (context.manifest or {}).get("model", {}).get("serializedFile", "weights.safetensors")
        self.predictor = Predictor(
            folder, weights=weights, side=preprocess.SIDE, optimise=threads is not None
        )
        self.labels = np.array(self.predictor.labels, dtype=object)

    def predict(
        self, inputs: dict[str, Array], *, return_preprocessed: bool = False, return_warnings: bool = False
    ) -> dict[str, Array]:
        """Answer a whole batch.

        inputs["image"]: uint8 [n,28,28], float32 [n,28,28] in 0..1, or object [n] of PNG or JPEG bytes.
        Gives probabilities float32 [n,10] and label object [n] of str; with `return_preprocessed` also preprocessed,
        uint8 [n,28,28]: what the network got; with `return_warnings` also warning, object [n] of str: what is unusual
        about the image, or an empty text. Raises ValueError with a readable reason if the input cannot be used.
        """
        if type(return_preprocessed) is not bool:
            raise ValueError("the parameter return_preprocessed must be true or false")
        if type(return_warnings) is not bool:
            raise ValueError("the parameter return_warnings must be true or false")
        if "image" not in inputs:
            raise ValueError("the input 'image' is missing")
        given = inputs["image"]
        if return_warnings and given.dtype == np.object_:
            pixels, shadowed = preprocess.read(list(given.reshape(-1)))
            images = preprocess.to_network(pixels)
        else:
            images = preprocess.prepare(given)
            shadowed = [False] * len(images)
        if not len(images):
            raise ValueError("the input 'image' holds no image")
        probabilities = self.predictor.predict(images)
        outputs: dict[str, Array] = {
            "probabilities": probabilities,
            "label": self.labels[probabilities.argmax(1)],
        }
        if not (return_preprocessed or return_warnings):
            return outputs
        got = preprocess.as_pixels(images)
        if return_preprocessed:
            outputs["preprocessed"] = got
        if return_warnings:
            outputs["warning"] = np.array(unusual.warnings(got, shadowed), dtype=object)
        return outputs

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:
        """Answer plain TorchServe requests: each row's `body` (or `data`) is one image.

        An image is a PNG or JPEG file, 784 raw bytes, or JSON: 28 x 28 or 784 numbers, alone or as "image".
        Whole numbers are 0..255, others 0..1. A row that cannot be used gets the status 400 and an error.
        """
        answers: list[dict[str, Any]] = []
        for at, row in enumerate(data):
            try:
                answers.append(self._answer(row.get("body", row.get("data"))))
            except ValueError as error:
                context.set_response_status(400, "Bad Request", at)
                answers.append({"error": str(error)})
        return answers

    def _answer(self, body: object) -> dict[str, Any]:
        outputs = self.predict({"image": _image(body)})
        probabilities = outputs["probabilities"][0].tolist()
        return {
            "label": outputs["label"][0],
            "probabilities": dict(zip(self.labels.tolist(), probabilities, strict=True)),
        }


def _image(body: object) -> Array:
    if isinstance(body, bytes | bytearray | memoryview):
        file = bytes(body)
        if len(file) == RAW_BYTES:
            return np.frombuffer(file, np.uint8).reshape(1, preprocess.SIDE, preprocess.SIDE)
        if file.lstrip()[:1] not in (b"{", b"["):
            image = np.empty(1, dtype=object)
            image[0] = file
            return image
        body = file.decode("utf-8", "replace")
    try:
        value = json.loads(body) if isinstance(body, str) else body
    except (ValueError, RecursionError):
        raise ValueError("the body is not readable as JSON") from None
    return _numbers(value.get("image") if isinstance(value, dict) else value)


def _numbers(value: object) -> Array:
    rows = value if isinstance(value, list) else []
    numbers = [item for row in rows for item in (row if isinstance(row, list) else [row])]
    shape = (1, preprocess.SIDE, preprocess.SIDE)
    if len(numbers) == RAW_BYTES and all(type(item) is int and 0 <= item <= 255 for item in numbers):
        return np.array(numbers, np.uint8).reshape(shape)
    if len(numbers) == RAW_BYTES and all(type(item) in (int, float) and 0 <= item <= 1 for item in numbers):
        return np.array(numbers, np.float32).reshape(shape)
    raise ValueError(
        "the body must be a PNG or JPEG file, 784 bytes, or as JSON 28 x 28 numbers:"
        " whole ones from 0 to 255, or any from 0 to 1"
    )
