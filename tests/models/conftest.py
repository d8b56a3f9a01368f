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

from datasets import Samples  # noqa: E402 - only now it is on the path
from digits import Digits  # noqa: E402


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    """A data set folder with 96 digits to train on and 40 held out."""
    folder = tmp_path_factory.mktemp("few-digits")
    write(folder, "train", Digits().train.head(96))
    write(folder, "t10k", Digits().test.head(40))
    return Digits(folder)


def write(folder: Path, part: str, digits: Samples) -> None:
    """Write digits in MNIST's format."""
    images = struct.pack(">4L", 0x803, *digits.inputs.shape) + digits.inputs.tobytes()
    labels = struct.pack(">2L", 0x801, len(digits)) + digits.targets.astype(np.uint8).tobytes()
    (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
    (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, mtime=0))
