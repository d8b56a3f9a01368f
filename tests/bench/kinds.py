"""The kinds of requests that `make bench` sends, and the models that they are for."""

import json
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Model:
    """A network that every server is given; a tensor of an image is divided by 255 before it."""

    name: str
    network: str
    """File of its class Network, from the root of the repository."""
    tensor: str
    datatype: str
    row: tuple[int, ...]
    """Shape of one row of a request."""
    given: tuple[int, ...]
    """The same as the network gets it."""
    starter: str | None = None
    """The starter experiment that it is; another is packed by `marina pack`."""

    def data(self, rows: int) -> "np.typing.NDArray[np.float32] | np.typing.NDArray[np.uint8]":
        """The values of a request: no digit, photo or wine, which a model takes as well as any."""
        count = rows * int(np.prod(self.row))
        if self.datatype == "UINT8":
            return np.array([(index * 37) % 256 for index in range(count)], np.uint8)
        return np.random.default_rng(0).standard_normal(count).astype(np.float32)


DIGITS = Model("digits", "models/networks/cnn.py", "image", "UINT8", (28, 28), (1, 28, 28), "cnn-baseline")
PHOTOS = Model("resnet18", "tests/bench/peers/resnet18.py", "input", "FP32", (3, 224, 224), (3, 224, 224))
TABLE = Model("wine", "models/networks/wine-mlp.py", "row", "FP32", (13,), (13,), "wine-mlp")


@dataclass(frozen=True)
class Kind:
    """One kind of request, and the numbers of clients that send it."""

    name: str
    rows: int
    binary: bool
    model: Model = DIGITS
    clients: tuple[int, ...] = field(default=(1, 8, 32, 128))

    def request(self) -> tuple[bytes, int | None]:
        """The body, and the length of its JSON when binary data follow."""
        model, data = self.model, self.model.data(self.rows)
        tensor = {"name": model.tensor, "shape": [self.rows, *model.row], "datatype": model.datatype}
        if not self.binary:
            return json.dumps({"inputs": [{**tensor, "data": data.tolist()}]}).encode(), None
        sized = {**tensor, "parameters": {"binary_data_size": data.nbytes}}
        head = json.dumps({"inputs": [sized], "parameters": {"binary_data_output": True}}).encode()
        return head + data.tobytes(), len(head)


def _kinds(binary: bool) -> list[Kind]:
    words = "binary" if binary else "JSON"
    return [
        Kind(f"{words}, 1 image a request", 1, binary),
        # More images a request: fewer clients say as much.
        Kind(f"{words}, 16 images a request", 16, binary, clients=(1, 8, 32)),
    ]


JSON_IMAGE, BINARY_IMAGE = (_kinds(binary)[0] for binary in (False, True))
JSON_PHOTO, BINARY_PHOTO = (
    Kind(f"{words}, resnet18, FP32 [1, 3, 224, 224] a request", 1, binary, PHOTOS, (1, 8))
    for words, binary in (("JSON", False), ("binary", True))
)
JSON_ROW = Kind("JSON, a table, 13 numbers a request", 1, False, TABLE, (1, 32))
KINDS = (*_kinds(False), *_kinds(True), JSON_PHOTO, BINARY_PHOTO, JSON_ROW)
