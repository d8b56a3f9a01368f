"""One loaded network: whole batches in, probabilities out. Knows neither HTTP nor TorchServe.

Used by the handler. A frozen copy lies in every archive that we build: it needs PyTorch, safetensors, PyYAML
and NumPy only.
"""

import importlib.util
import uuid
import warnings
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import yaml
from safetensors.torch import load_file

# Measured on two cores: below this batch size the plain traced form is faster, from it on the optimised one.
OPTIMISED_FROM = 3
# Each batch size pays for its own optimisation once: better at load than with somebody's request.
WARMED_SIZES = (1, 2, 3, 4, 8, 16)
TOLERANCE = 1e-5

_TracerWarning: type[Warning] = torch.jit.TracerWarning  # type: ignore[attr-defined]

Floats = npt.NDArray[np.float32]


class Predictor:
    """A network with its weights and the names of its classes."""

    def __init__(self, folder: Path, *, weights: str = "weights.safetensors", side: int = 28) -> None:
        """Load network.py (its class `Network`), the weights and the labels of model.yaml from `folder`.

        Raises OSError, ValueError, or what the network's own code raises.
        """
        network = load_network(folder / "network.py")
        network.load_state_dict(load_file(folder / weights))
        network.eval()
        card = yaml.safe_load((folder / "model.yaml").read_text("utf-8"))
        self.labels: tuple[str, ...] = tuple(card["labels"])
        self._forms = _forms(network, side)

    def predict(self, images: Floats) -> Floats:
        """Probabilities float32 [n, classes] of images float32 [n, height, width] in 0..1."""
        batch = torch.from_numpy(np.require(images, requirements=["C", "W"])).unsqueeze(1)
        single, batched = self._forms
        with torch.inference_mode():
            logits = (batched if len(images) >= OPTIMISED_FROM else single)(batch)
            return cast(Floats, torch.softmax(logits, 1).numpy())


def load_network(path: Path) -> torch.nn.Module:
    """A new `Network()` of a Python file; the file is known to nobody else under its name."""
    name = f"marina_network_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(torch.nn.Module, module.Network())


_Form = torch.nn.Module


def _forms(network: torch.nn.Module, side: int) -> tuple[_Form, _Form]:
    """The fastest forms for a few images and for many, each only if it answers as the network itself does."""
    probe = torch.rand(OPTIMISED_FROM, 1, side, side, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(), torch.inference_mode():
        # PyTorch announces that the JIT will go; the version that is locked has it, and it needs no compiler.
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = _traced(network, probe[:1])
        if traced is None:
            return network, network
        single = _equal_or(network, torch.jit.freeze(traced), probe[:1])
        batched = _equal_or(network, torch.jit.optimize_for_inference(traced), probe)
        for size in WARMED_SIZES:
            form = batched if size >= OPTIMISED_FROM else single
            for _ in range(3):
                form(torch.zeros(size, 1, side, side))
    return single, batched


def _traced(network: torch.nn.Module, probe: torch.Tensor) -> torch.jit.ScriptModule | None:
    """None for a network whose steps depend on its input: a trace would be right for the probe only."""
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        traced = torch.jit.trace(network, probe, check_trace=False)  # type: ignore[no-untyped-call]
    depends = any(issubclass(item.category, _TracerWarning) for item in complaints)
    return None if depends else cast(torch.jit.ScriptModule, traced)


def _equal_or(network: torch.nn.Module, form: _Form, probe: torch.Tensor) -> _Form:
    """`form`, if it survives its own optimisation and gives the network's probabilities; else the network."""
    expected = torch.softmax(network(probe), 1)
    answers = [torch.softmax(form(probe), 1) for _ in range(3)]
    equal = all(torch.allclose(answer, expected, rtol=0, atol=TOLERANCE) for answer in answers)
    return form if equal else network
