"""One loaded network: whole batches in, probabilities or numbers out. Knows neither HTTP nor TorchServe.

Used by the handler. A frozen copy lies in every archive that we build: it needs PyTorch, safetensors and NumPy
only.
"""

import bisect
import importlib.util
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

if TYPE_CHECKING or __package__:
    from .fastest import MEASURED_SIZES, optimised
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    from fastest import MEASURED_SIZES, optimised

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


class Answering(torch.nn.Module):
    """The rows of a batch in, what is answered out. One module for all: each step between costs microseconds."""

    def __init__(self, network: torch.nn.Module, *, classes: bool) -> None:
        super().__init__()
        self.network = network
        self.classes = classes

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        # Images of one channel are [n, height, width]; networks take [n, channels, height, width].
        answers: torch.Tensor = self.network(rows.unsqueeze(1) if rows.ndim == 3 else rows)
        return torch.softmax(answers, 1) if self.classes else answers


class Predictor:
    """A network with its weights."""

    def __init__(
        self,
        folder: Path,
        example: Array,
        *,
        weights: str = "weights.safetensors",
        classes: bool = True,
        optimise: bool = True,
    ) -> None:
        """Load network.py (its class `Network`) and the weights from `folder`.

        `example` is one row [1, ...] of what `predict` gets. `classes`: the network gives logits, which become
        probabilities. `optimise` looks for the fastest equal variant of the network for each batch size; otherwise it
        runs as it is, whose answers are the same to the last bit each time. Raises OSError, ValueError, or what the
        network's own code raises.
        """
        network = load_network(folder / "network.py")
        network.load_state_dict(load_file(folder / weights))
        answering = Answering(network, classes=classes).eval()
        self._variants = (
            optimised(answering, torch.from_numpy(example)) if optimise else [answering] * len(MEASURED_SIZES)
        )

    def predict(self, rows: Array) -> Floats:
        """What the network answers, float32 [n, classes or 1]: rows like `example`."""
        # np.require does the same, and takes longer than a small layer.
        if not (rows.flags.c_contiguous and rows.flags.writeable):
            rows = np.array(rows, order="C")
        batch = torch.from_numpy(rows)
        variant = self._variants[min(bisect.bisect_left(MEASURED_SIZES, len(rows)), len(self._variants) - 1)]
        with torch.inference_mode():
            return cast(Floats, variant(batch).numpy())


def load_network(path: Path) -> torch.nn.Module:
    """A new `Network()` of a Python file; under a name that no other module has."""
    name = f"marina_network_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(torch.nn.Module, module.Network())
