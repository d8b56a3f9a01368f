"""Requests to the starter CNN whose right answers are known, so that no front can pass off one for another."""

import json
from pathlib import Path

import numpy as np

from serving_runtime.archive import mar
from tests.bench.open_loop import Answer
from tests.serving.untrained import loaded

_COUNT = 7
_TOLERANCE = 1e-4  # without training the answers are close to each other, but not as close


class Digits:
    """`requests` to send in turn, and whether an answer is `right`."""

    def __init__(self, archive: Path, folder: Path) -> None:
        """Asks the model of the archive itself, unpacked into `folder`, in this process."""
        pixels = np.zeros((_COUNT, 28, 28), np.uint8)
        for at in range(_COUNT):
            pixels[at, :, : 4 * at] = 255
        mar.unpack(archive, folder)
        outputs = loaded(folder).predict({"image": pixels})
        self._probabilities = outputs["probabilities"]
        self._labels = outputs["label"]
        self.requests = [_request(each) for each in pixels]

    def right(self, answer: Answer) -> bool:
        """Whether it is the model's answer to its request."""
        at = answer.number % _COUNT
        outputs = {each["name"]: each["data"] for each in json.loads(answer.body)["outputs"]}
        close = np.allclose(outputs["probabilities"], self._probabilities[at], rtol=0, atol=_TOLERANCE)
        return close and outputs["label"] == [self._labels[at]]

    def answer(self, number: int) -> bytes:
        """The right answer to a request, as a front would give it."""
        probabilities = {"name": "probabilities", "data": self._probabilities[number].tolist()}
        return json.dumps(
            {"outputs": [probabilities, {"name": "label", "data": [self._labels[number]]}]}
        ).encode()


def _request(pixels: "np.typing.NDArray[np.uint8]") -> bytes:
    tensor = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": pixels.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()
