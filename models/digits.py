#!/usr/bin/env python3
"""The digits to train on and to hold out. Run as a script, it writes models/examples/ from the held-out ones.

python models/digits.py
"""

import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

MODELS = Path(__file__).resolve().parent
MNIST = MODELS / "data" / "mnist-10k"
EXAMPLES = MODELS / "examples"


@dataclass(frozen=True)
class Digits:
    """Images uint8 [n, 28, 28] (0 = background, 255 = ink) and what they show, int64 [n]."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, label: int) -> npt.NDArray[np.uint8]:
        """The first image [28, 28] of a digit."""
        found: npt.NDArray[np.uint8] = self.images[np.flatnonzero(self.labels == label)[0]]
        return found

    def head(self, count: int) -> "Digits":
        """The first `count` of them."""
        return Digits(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Dataset:
    """A folder with the four files of MNIST: `train-*` to train on, `t10k-*` held out."""

    folder: Path = MNIST

    @cached_property
    def train(self) -> Digits:
        return _load(self.folder, "train")

    @cached_property
    def test(self) -> Digits:
        return _load(self.folder, "t10k")

    @cached_property
    def sha256(self) -> str:
        """Of the four files in the order of their names."""
        files = sorted(self.folder.glob("*.gz"))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def request(image: npt.NDArray[np.uint8]) -> dict[str, object]:
    """A v2 inference request for one image [28, 28]."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28], "data": image.reshape(-1).tolist()}
    return {"inputs": [tensor]}


def write_examples(folder: Path = EXAMPLES) -> None:
    """Write the first held-out image of each digit as digit-N.png, and of a 5 also the v2 request five.json."""
    folder.mkdir(exist_ok=True)
    held_out = Dataset().test
    for label in range(10):
        Image.fromarray(held_out.first(label)).save(folder / f"digit-{label}.png", optimize=True)
    (folder / "five.json").write_text(json.dumps(request(held_out.first(5))) + "\n")


def _load(folder: Path, part: str) -> Digits:
    images = _idx(folder / f"{part}-images-idx3-ubyte.gz", dimensions=3)
    labels = _idx(folder / f"{part}-labels-idx1-ubyte.gz", dimensions=1)
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} images, but {len(labels)} labels")
    return Digits(images, labels.astype(np.int64))


def _idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    body = gzip.decompress(path.read_bytes())
    if body[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is not an IDX file of bytes in {dimensions} dimensions")
    shape = np.frombuffer(body, ">u4", dimensions, 4)
    return np.frombuffer(body, np.uint8, -1, 4 + 4 * dimensions).reshape([int(size) for size in shape])


if __name__ == "__main__":
    write_examples()
