#!/usr/bin/env python3
"""The digits to train on and to hold out. Run as a script, it writes models/examples/ from the held-out ones.

python models/digits.py
"""

import gzip
import hashlib
import json
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from datasets import DATA, MODELS, Array, Dataset, Samples
from serving_runtime.starter.preprocess import to_network

NAME = "mnist-10k"
MNIST = DATA / NAME
EXAMPLES = MODELS / "examples"


class Digits(Dataset):
    """A folder with the four files of MNIST: `train-*` to train on, `t10k-*` held out.

    Images are uint8 [n, 28, 28] (0 = background, 255 = ink), targets what they show.
    """

    handler = "handler.py"
    needs = ("image_files.py", "preprocess.py", "unusual.py")

    def __init__(self, folder: Path = MNIST) -> None:
        self.folder = folder
        self.name = folder.name

    @cached_property
    def train(self) -> Samples:
        return _load(self.folder, "train")

    @cached_property
    def test(self) -> Samples:
        return _load(self.folder, "t10k")

    @cached_property
    def sha256(self) -> str:
        """Of the four files in the order of their names."""
        files = sorted(self.folder.glob("*.gz"))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        # Of the preprocessing only what the network gets matters: another way to read images needs no new training.
        sample = hashlib.sha256(self.to_network(self.train.inputs[:100]).tobytes()).hexdigest()
        return hashlib.sha256(f"{self.sha256} {sample}".encode()).hexdigest()

    def to_network(self, inputs: Array) -> Array:
        return to_network(inputs)[:, np.newaxis]


@cache
def digits() -> Digits:
    """Those of the starters, read once."""
    return Digits()


def request(image: Array) -> dict[str, Any]:
    """A v2 inference request for one image [28, 28]."""
    tensor = {"name": "image", "datatype": "UINT8", **digits().tensor(image)}
    return {"inputs": [tensor]}


def write_examples(folder: Path = EXAMPLES) -> None:
    """Write the first held-out image of each digit as digit-N.png, and of a 5 also the v2 request five.json."""
    folder.mkdir(exist_ok=True)
    held_out = digits().test
    for label in range(10):
        Image.fromarray(held_out.first(label)).save(folder / f"digit-{label}.png", optimize=True)
    (folder / "five.json").write_text(json.dumps(request(held_out.first(5))) + "\n")


def _load(folder: Path, part: str) -> Samples:
    images = _idx(folder / f"{part}-images-idx3-ubyte.gz", dimensions=3)
    labels = _idx(folder / f"{part}-labels-idx1-ubyte.gz", dimensions=1)
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} images, but {len(labels)} labels")
    return Samples(images, labels.astype(np.int64))


def _idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    body = gzip.decompress(path.read_bytes())
    if body[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is not an IDX file of bytes in {dimensions} dimensions")
    shape = np.frombuffer(body, ">u4", dimensions, 4)
    return np.frombuffer(body, np.uint8, -1, 4 + 4 * dimensions).reshape([int(size) for size in shape])


if __name__ == "__main__":
    write_examples()
