"""Handwritten digits: the model behind TorchServe, which answers whole batches.

TorchServe's worker calls it; a frozen copy lies in every archive of digits that we build, with the modules that it
imports. TorchServe demands exactly one class in this file.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING or __package__:
    from . import preprocess, unusual
    from .base_handler import BaseHandler, from_json
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    import preprocess
    import unusual
    from base_handler import BaseHandler, from_json

RAW_BYTES = preprocess.SIDE * preprocess.SIDE

Array = npt.NDArray[Any]


class Handler(BaseHandler):
    """Digits in, a label and the probabilities of all labels out.

    In a plain TorchServe request an image is a PNG or JPEG file, 784 raw bytes, or JSON: 28 x 28 or 784 numbers, alone
    or as "image". Whole numbers are 0..255, others 0..1.
    """

    input_name = "image"

    def example(self) -> Array:
        return np.zeros((1, preprocess.SIDE, preprocess.SIDE), np.float32)

    def read(self, body: object) -> Array:
        return _image(body)

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
        given = self.given(inputs)
        if return_warnings and given.dtype == np.object_:
            pixels, shadowed = preprocess.read(list(given.reshape(-1)))
            images = preprocess.to_network(pixels)
        else:
            images = preprocess.prepare(given)
            shadowed = [False] * len(images)
        outputs = self.named(self.predictor.predict(images))
        if not (return_preprocessed or return_warnings):
            return outputs
        got = preprocess.as_pixels(images)
        if return_preprocessed:
            outputs["preprocessed"] = got
        if return_warnings:
            outputs["warning"] = np.array(unusual.warnings(got, shadowed), dtype=object)
        return outputs


def _image(body: object) -> Array:
    if isinstance(body, bytes | bytearray | memoryview):
        file = bytes(body)
        if len(file) == RAW_BYTES:
            return np.frombuffer(file, np.uint8).reshape(1, preprocess.SIDE, preprocess.SIDE)
        if file.lstrip()[:1] not in (b"{", b"["):
            image = np.empty(1, dtype=object)
            image[0] = file
            return image
        body = file
    value = from_json(body)
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
