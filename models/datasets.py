"""What experiments are trained on: data sets, each split into samples to train on and samples held out."""

import csv
import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving_runtime import starter
from serving_runtime.archive.model_spec import ModelSpec

MODELS = Path(__file__).resolve().parent
DATA = MODELS / "data"
STARTER = Path(starter.__path__[0])
HELD_OUT = 5
"""Of files that are not split, each fifth row is held out."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Samples:
    """Inputs [n, ...] as people send them, and targets: labels int64 [n], or numbers float32 [n]."""

    inputs: Array
    targets: Array

    def __len__(self) -> int:
        return len(self.targets)

    def head(self, count: int) -> "Samples":
        """The first `count` of them."""
        return Samples(self.inputs[:count], self.targets[:count])

    def first(self, target: int) -> Array:
        """The first input with this target."""
        found: Array = self.inputs[np.flatnonzero(self.targets == target)[0]]
        return found


class Dataset(ABC):
    """One data set, and how its samples come to the network: by the handler that is packed with it."""

    name: str
    handler: str
    """The file of `serving_runtime.starter` that is the archive's handler."""
    needs: tuple[str, ...] = ()
    """The files that it imports, beside those that all handlers do."""

    @property
    @abstractmethod
    def train(self) -> Samples:
        """The samples to train on."""

    @property
    @abstractmethod
    def test(self) -> Samples:
        """The samples held out."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """sha256 of all that decides what the network is trained on."""

    @abstractmethod
    def to_network(self, inputs: Array) -> Array:
        """What the network gets for inputs [n, ...]. Imports the handler, and so perhaps PyTorch."""

    def tensor(self, value: Any) -> dict[str, Any]:
        """One input as a v2 tensor without its name and datatype."""
        row = np.asarray(value)
        return {"shape": [1, *row.shape], "data": row.reshape(-1).tolist()}

    @property
    def frozen(self) -> tuple[str, ...]:
        """Copied into each archive, so that it runs in any TorchServe and an old version keeps its preprocessing."""
        return (self.handler, "base_handler.py", "predictor.py", "fastest.py", *self.needs)

    @property
    def sha256(self) -> str:
        """Of the files that hold the data, or of the script that makes them."""
        return self.fingerprint


class Table(Dataset):
    """A CSV file: numbers or texts in all columns but the last, in which the target stands."""

    def __init__(self, name: str, spec: ModelSpec, file: Path) -> None:
        self.name = name
        self.file = file
        self._labels = spec.labels
        self._categories = [list(column.categories) for column in spec.inputs[0].columns]
        text = spec.inputs[0].kind == "text"
        self.handler = "text_handler.py" if text else "table_handler.py"

    @cached_property
    def _samples(self) -> Samples:
        with self.file.open(encoding="utf-8", newline="") as file:
            _, *rows = csv.reader(file)
        targets = [row[-1] for row in rows]
        found = [self._labels.index(target) for target in targets] if self._labels else targets
        values = np.array(found, np.int64 if self._labels else np.float32)
        if not self._categories:
            return Samples(np.array([row[0] for row in rows], dtype=object), values)
        inputs = [[*map(self._number, row[:-1], self._categories)] for row in rows]
        return Samples(np.array(inputs, np.float32), values)

    @staticmethod
    def _number(text: str, categories: list[str]) -> float:
        return categories.index(text) if categories else float(text)

    @cached_property
    def train(self) -> Samples:
        kept = np.arange(len(self._samples)) % HELD_OUT != 0
        return Samples(self._samples.inputs[kept], self._samples.targets[kept])

    @cached_property
    def test(self) -> Samples:
        return Samples(self._samples.inputs[::HELD_OUT], self._samples.targets[::HELD_OUT])

    @property
    def fingerprint(self) -> str:
        parts = [self.file.read_bytes(), (STARTER / self.handler).read_bytes()]
        return hashlib.sha256(b"".join([*parts, repr(self._categories).encode()])).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def to_network(self, inputs: Array) -> Array:
        if self._categories:
            return inputs
        from serving_runtime.starter.text_handler import to_network

        return to_network(list(inputs))


def find(spec: ModelSpec) -> Dataset:
    """The data set of an experiment. Raises ValueError for one that is not there."""
    import digits
    import shapes

    if spec.dataset in ("", digits.NAME):
        return digits.digits()
    if spec.dataset == shapes.NAME:
        return shapes.shapes()
    files = sorted((DATA / spec.dataset).glob("*.csv"))
    if len(files) != 1:
        raise ValueError(f"{spec.name}: there is no data set {spec.dataset!r} with one CSV file in {DATA}")
    return Table(spec.dataset, spec, files[0])
