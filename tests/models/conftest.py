"""What the tests of the trainer share: its scripts on the path, and a data set of a few digits."""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

MODELS = Path(__file__).parents[2] / "models"
# The trainer's files are scripts that import one another from their folder, as `python models/train.py` does.
sys.path.insert(0, str(MODELS))

from digits import Dataset, Digits  # noqa: E402 - only now it is on the path


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set folder with 96 digits to train on and 40 held out."""
    folder = tmp_path_factory.mktemp("few-digits")
    write(folder, "train", Dataset().train.head(96))
    write(folder, "t10k", Dataset().test.head(40))
    return Dataset(folder)


def write(folder: Path, part: str, digits: Digits) -> None:
    """Write digits in MNIST's format."""
    images = struct.pack(">4L", 0x803, *digits.images.shape) + digits.images.tobytes()
    labels = struct.pack(">2L", 0x801, len(digits)) + digits.labels.astype(np.uint8).tobytes()
    (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
    (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, mtime=0))
