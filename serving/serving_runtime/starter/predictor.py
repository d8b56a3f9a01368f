"""One loaded network: whole batches in, probabilities out. Knows neither HTTP nor TorchServe.

Used by the handler. A frozen copy lies in every archive that we build: it needs PyTorch, safetensors, PyYAML
and NumPy only.
"""

import bisect
import importlib.util
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
import yaml
from safetensors.torch import load_file

if TYPE_CHECKING or __package__:
    from .fastest import MEASURED_SIZES, WithSoftmax, optimised
else:  # in an unpacked archive, whose folder TorchServe puts on the path
    from fastest import MEASURED_SIZES, WithSoftmax, optimised

Floats = npt.NDArray[np.float32]


class Predictor:
    """A network with its weights and the names of its classes."""

    def __init__(
        self, folder: Path, *, weights: str = "weights.safetensors", side: int = 28, optimise: bool = True
    ) -> None:
        """Load network.py (its class `Network`), the weights and the labels of model.yaml from `folder`.

        `optimise` looks for the fastest equal variant of the network for each batch size; otherwise it runs as it is,
        whose answers are the same to the last bit each time. Raises OSError, ValueError, or what the network's own
        code raises.
        """
        network = load_network(folder / "network.py")
        network.load_state_dict(load_file(folder / weights))
        network.eval()
        spec = yaml.safe_load((folder / "model.yaml").read_text("utf-8"))
        self.labels: tuple[str, ...] = tuple(spec["labels"])
        answers = WithSoftmax(network).eval()
        self._variants = optimised(answers, side) if optimise else [answers] * len(MEASURED_SIZES)

    def predict(self, images: Floats) -> Floats:
        """Probabilities float32 [n, classes] of images float32 [n, height, width] in 0..1."""
        # np.require does the same, and takes longer than a small layer.
        if not (images.flags.c_contiguous and images.flags.writeable):
            images = np.array(images, order="C")
        batch = torch.from_numpy(images)
        variant = self._variants[
            min(bisect.bisect_left(MEASURED_SIZES, len(images)), len(self._variants) - 1)
        ]
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
